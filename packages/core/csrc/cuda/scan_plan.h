// How a scan along one dimension of (outer, n, inner) is laid out over a device's threads: a function of the shape
// alone, so that results are the same at every run; compiled for the host too.
//
// Rows (inner is 1): a power of two of lanes share each, `kScanItems` neighbouring elements a lane at a time. Columns:
// a thread each. Few and long lines are shared out among `chunks` blocks in three launches: what each chunk comes to,
// those scanned in their turn, and each chunk from what came before it on.
#pragma once

#include <cstdint>

#include "cuda/geometry.h"

namespace atled::core::cuda {

constexpr int kScanThreads = 256;
constexpr int kScanItems = 4;

struct ScanPlan {
  int64_t outer, n, inner;
  int lanes;  // rows
  int64_t chunks, chunk_length;

  bool rows() const { return inner == 1; }
  int64_t lines() const { return outer * inner; }
  int rows_per_block() const { return kScanThreads / lanes; }
  ATLED_FN int64_t end_of(int64_t chunk) const {
    const int64_t end = (chunk + 1) * chunk_length;
    return end < n ? end : n;
  }
  // A column's first element.
  ATLED_FN int64_t start_of(int64_t line) const { return line / inner * n * inner + line % inner; }
};

inline ScanPlan plan_scan(int64_t outer, int64_t n, int64_t inner) {
  ScanPlan plan{outer, n, inner, 1, 1, n};
  int64_t most = 1, wanted = 1, step = 1;  // a chunk is whole steps
  if (plan.rows()) {
    while (plan.lanes < kScanThreads && static_cast<int64_t>(plan.lanes) * kScanItems < n) plan.lanes *= 2;
    constexpr int64_t kEnoughBlocks = 1024, kLeastTiles = 8;
    step = kScanThreads * kScanItems;
    most = n / (kLeastTiles * step);
    wanted = kEnoughBlocks / (outer < 1 ? 1 : outer);
  } else {
    constexpr int64_t kEnoughLines = 1 << 17, kLeast = 64;
    most = n / kLeast;
    wanted = kEnoughLines / (plan.lines() < 1 ? 1 : plan.lines());
  }
  constexpr int64_t kMostChunks = 1024;
  if (wanted > most) wanted = most;
  if (wanted > kMostChunks) wanted = kMostChunks;
  if (wanted > 1) {
    plan.chunk_length = ((n + wanted - 1) / wanted + step - 1) / step * step;
    plan.chunks = (n + plan.chunk_length - 1) / plan.chunk_length;
  }
  return plan;
}

}  // namespace atled::core::cuda
