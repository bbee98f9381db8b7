// How lines are shared out for sorting: plain functions of their number and length, compiled for the host too.
#pragma once

#include <cstdint>

#include "cuda/geometry.h"

namespace atled::core::cuda {

constexpr int kGroupThreads = 512, kSelectThreads = 256;
constexpr uint32_t kLeastGrouped = 1024, kMostGrouped = 2048;  // elements in a block's shared memory

// Lines of n elements that are whole in shared memory, `width` wide there, a power of two; the first `kept` are left.
struct GroupPlan {
  int64_t lines, n, length;  // length: of the lines before any round
  uint32_t width, capacity, kept;

  int threads() const { return static_cast<int>(capacity / 4); }
  int64_t blocks() const {
    const int64_t slots = capacity / width;
    return (lines + slots - 1) / slots;
  }
};

inline GroupPlan plan_groups(int64_t lines, int64_t n, int64_t length, int64_t kept) {
  GroupPlan plan{lines, n, length, 1, kLeastGrouped, static_cast<uint32_t>(kept)};
  while (plan.width < n) plan.width *= 2;
  if (plan.capacity < plan.width) plan.capacity = plan.width;
  return plan;
}

// One round over longer lines: they fall into chunks, each of which leaves its first `kept`, a sixteenth at most.
struct SelectPlan {
  int64_t lines, n, length;
  int64_t chunks, chunk_length;
  uint32_t capacity, kept;  // capacity: a power of two, in shared memory
};

inline SelectPlan plan_select(int64_t lines, int64_t n, int64_t length, int64_t kept) {
  constexpr int64_t kBlocks = 2048, kShortest = 4096, kLongest = 1 << 16;
  const int64_t wanted = (lines * n + kBlocks - 1) / kBlocks, most = wanted < kShortest  ? kShortest
                                                                     : wanted > kLongest ? kLongest
                                                                                         : wanted;
  SelectPlan plan{lines, n, length, (n + most - 1) / most, 0, 256, static_cast<uint32_t>(kept)};
  plan.chunk_length = (n + plan.chunks - 1) / plan.chunks;
  plan.chunks = (n + plan.chunk_length - 1) / plan.chunk_length;
  while (plan.capacity < 8 * plan.kept) plan.capacity *= 2;
  return plan;
}

// A few of long lines are found in such rounds.
inline bool sorts_in_groups(int64_t n, int64_t kept) { return n <= kMostGrouped || kept <= kMostGrouped / 8; }

// How many long lines one radix sort takes on: very long ones are sorted one by one, and places are 32-bit numbers.
constexpr int64_t kAlone = 1 << 20;
inline int64_t lines_together(int64_t lines, int64_t n) {
  const int64_t most = n >= kAlone ? 1 : kMaxOffset / n;
  return lines < most ? lines : most;
}

}  // namespace atled::core::cuda
