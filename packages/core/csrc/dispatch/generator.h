// Random streams: a seed and a position in its Philox stream. Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>

struct atled_generator {
  std::mutex mutex;
  uint64_t seed = 0;
  uint64_t offset = 0;
};

namespace atled::core {

atled_generator& default_generator();
// Takes n counters; NULL is the default generator.
int reserve_random(atled_generator* generator, uint64_t n, uint64_t* seed, uint64_t* offset) noexcept;

}  // namespace atled::core
