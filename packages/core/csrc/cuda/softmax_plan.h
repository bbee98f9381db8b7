// How softmax is laid out over a device's threads: a function of the shape (outer, n, inner) alone, so that results are
// the same at every run; compiled for the host too.
//
// Rows that fit are held in registers, a power of two of lanes for each. Other lines, long ones and those that lie side
// by side, are read twice, `width` of them by each block. Where there are few and long ones, each is shared out among
// `chunks` blocks.
#pragma once

#include <cstdint>

#include "cuda/geometry.h"

namespace atled::core::cuda {

constexpr int kSoftmaxThreads = 256;
constexpr int kSoftmaxRowThreads =
    1024;  // of a block that has one long row: then a row is still cached when read again
constexpr int kHeldLeast = 4, kHeldFew = 16;  // elements of a row that a lane holds, or kHeldMany
template <class Acc>
constexpr int kHeldMany = sizeof(Acc) == 8 ? 16 : 32;
template <class T>
constexpr int kSoftmaxVector = sizeof(T) == 8 ? 2 : 4;

struct SoftmaxPlan {
  int64_t outer, n, inner;
  int held;       // elements a lane; 0: read twice
  int lanes;      // a power of two; threads that share a line in a block
  int width;      // a power of two; lines of a block that is not of held rows
  int64_t tiles;  // blocks that are side by side along inner
  int64_t chunks, chunk_length;

  int threads() const { return lanes * width; }
  ATLED_FN int64_t units() const { return outer * tiles; }
};

inline SoftmaxPlan plan_softmax(int64_t outer, int64_t n, int64_t inner, int held_many, int vector) {
  SoftmaxPlan plan{outer, n, inner, 0, 1, 1, 1, 1, n};
  if (inner == 1 && n <= static_cast<int64_t>(kSoftmaxThreads) * held_many) {
    plan.held = n <= 8 * kHeldLeast ? kHeldLeast : n <= 32 * kHeldFew ? kHeldFew : held_many;
    constexpr int kSideBySide = 8;  // lanes whose vectors fill a line of a cache
    while (plan.lanes < kSoftmaxThreads &&
           (static_cast<int64_t>(plan.lanes) * plan.held < n || (plan.lanes < kSideBySide && plan.lanes * vector < n)))
      plan.lanes *= 2;
    plan.width = kSoftmaxThreads / plan.lanes;
    return plan;
  }
  while (plan.width < 32 && plan.width < inner) plan.width *= 2;
  // Short columns side by side take whole blocks of columns.
  while (plan.width > 1 && plan.width < kSoftmaxThreads && plan.width < inner && n < 8 * (kSoftmaxThreads / plan.width))
    plan.width *= 2;
  plan.lanes = (inner == 1 ? kSoftmaxRowThreads : kSoftmaxThreads) / plan.width;
  plan.tiles = (inner + plan.width - 1) / plan.width;
  constexpr int64_t kEnough = 512, kLeast = 64;  // blocks; elements of a chunk for each lane
  const int64_t most = n / (kLeast * plan.lanes);
  if (plan.units() < kEnough && most > 1) {
    const int64_t wanted = kEnough / (plan.units() < 1 ? 1 : plan.units());
    plan.chunks = wanted < most ? wanted : most;
    plan.chunk_length = (n + plan.chunks - 1) / plan.chunks;
    plan.chunks = (n + plan.chunk_length - 1) / plan.chunk_length;
  }
  return plan;
}

}  // namespace atled::core::cuda
