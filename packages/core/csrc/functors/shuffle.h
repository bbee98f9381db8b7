// What a random permutation is, whoever makes it. One of up to kShuffledWhole elements is Fisher and Yates' shuffle;
// longer ones are dealt out to kPiles piles by a random byte each, in order, and the piles shuffled. Bytes come from
// the counters after the shuffles'.
#pragma once

#include "functors/random.h"
#include "functors/stream.h"

namespace atled::core {

constexpr int64_t kShuffledWhole = int64_t{1} << 16;
constexpr int kPiles = 256;

ATLED_FN int64_t shuffle_counters(int64_t n) { return (n + 1) / 2; }
ATLED_FN int64_t permutation_counters(int64_t n) {
  return n <= kShuffledWhole ? shuffle_counters(n) : shuffle_counters(n) + (n + 15) / 16;
}

// The element of begin to i that i changes places with, after all later ones of its pile did.
ATLED_FN int64_t partner(const StreamNumbers& stream, int64_t begin, int64_t i) {
  return begin + static_cast<int64_t>(multiply_high(stream.bits(i), static_cast<uint64_t>(i - begin + 1)));
}

}  // namespace atled::core
