// A draw's share of a generator's Philox stream.
#pragma once

#include <cstdint>

#include "atled/philox.h"
#include "atled/plugin.hpp"
#include "functors/inline.h"

namespace atled::core {

// Numbers of a stream by their place in it; host and device code.
struct StreamNumbers {
  uint64_t seed = 0, offset = 0;

  // Number i: 64 bits, two for each counter.
  ATLED_FN uint64_t bits(int64_t i) const {
    const Words4 words = philox(seed, offset + static_cast<uint64_t>(i / 2));
    const int at = i % 2 ? 2 : 0;
    return (static_cast<uint64_t>(words.w[at]) << 32) | words.w[at + 1];
  }
  ATLED_FN double uniform(int64_t i) const { return static_cast<double>(bits(i) >> 11) * 1.1102230246251565e-16; }
};

// Set where a draw's counters may not be known on the host: throws, saying why.
inline void (*before_draw)() = nullptr;

// Takes counters from the generator that an op's argument holds (None is the default one), once; thread-safe.
struct Stream : StreamNumbers {
  Stream(const atled_value& generator, int64_t counters) {
    if (before_draw) before_draw();
    atled_generator* from = generator.tag == ATLED_GENERATOR ? generator.u.generator : nullptr;
    check(rng_group->reserve(from, static_cast<uint64_t>(counters), &seed, &offset));
  }
};

}  // namespace atled::core
