// How lines are shared out for sorting: plain functions of their number and length, compiled for the host too.
#pragma once

#include <cstdint>

#include "cuda/geometry.h"

namespace atled::core::cuda {

constexpr int kGroupThreads = 512;
constexpr uint32_t kLeastGrouped = 1024, kMostGrouped = 2048;  // elements in a block's shared memory

// One round: lines of n elements fall into groups of `chunk`, each of which leaves its first `kept`. In shared memory
// a group is `width` wide, a power of two.
struct GroupPlan {
  int64_t lines, n, length;  // length: of the lines that the first round got
  int64_t groups;
  uint32_t chunk, width, capacity, kept;

  int threads() const { return static_cast<int>(capacity / 4); }
  int64_t blocks() const {
    const int64_t slots = capacity / width;
    return (lines * groups + slots - 1) / slots;
  }
};

inline GroupPlan plan_groups(int64_t lines, int64_t n, int64_t length, int64_t kept) {
  GroupPlan plan{};
  plan.lines = lines;
  plan.n = n;
  plan.length = length;
  plan.chunk = n < kMostGrouped ? static_cast<uint32_t>(n) : kMostGrouped;
  plan.groups = (n + plan.chunk - 1) / plan.chunk;
  plan.width = 1;
  while (plan.width < plan.chunk) plan.width *= 2;
  plan.capacity = plan.width < kLeastGrouped ? kLeastGrouped : plan.width;
  plan.kept = static_cast<uint32_t>(kept);
  return plan;
}

// A few of long lines are found in rounds, each of which leaves an eighth at most.
inline bool sorts_in_groups(int64_t n, int64_t kept) { return n <= kMostGrouped || kept <= kMostGrouped / 8; }

// How many long lines one radix sort takes on: very long ones are sorted one by one, and places are 32-bit numbers.
constexpr int64_t kAlone = 1 << 20;
inline int64_t lines_together(int64_t lines, int64_t n) {
  const int64_t most = n >= kAlone ? 1 : kMaxOffset / n;
  return lines < most ? lines : most;
}

}  // namespace atled::core::cuda
