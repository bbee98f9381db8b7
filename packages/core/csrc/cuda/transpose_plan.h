// Which copies are transposes, and how these are cut into tiles: plain functions of shapes and strides, compiled for
// the host too.
#pragma once

#include <cstdint>

#include "cuda/reduce_plan.h"

namespace atled::core::cuda {

constexpr int64_t kLeastTurned = 16;  // smaller sides are copied element by element

// Elements lie side by side along the rows of `out`, and along the columns of `in`. Steps are in bytes.
struct TransposePlan {
  bool applies = false;
  int64_t rows, columns;      // of `in`: what lies side by side in `out`, and in `in`
  int64_t in_step, out_step;  // from row to row of `in`, and from column to column in `out`
  ReduceDims batch;           // where each matrix is; its `out` is in bytes, too
};

// For a simplified walk over out and in.
inline TransposePlan plan_transpose(const Walk& walk, int64_t item) {
  TransposePlan plan;
  int turned = 0;
  for (int d = 1; d < walk.ndim && turned == 0; ++d)
    if (walk.strides[1][d] == item) turned = d;
  if (turned == 0 || walk.strides[0][0] != item || walk.strides[1][0] == item || walk.ndim > kMaxDims) return plan;
  plan.rows = walk.sizes[0];
  plan.columns = walk.sizes[turned];
  plan.in_step = walk.strides[1][0];
  plan.out_step = walk.strides[0][turned];
  for (int d = 1; d < walk.ndim; ++d)
    if (d != turned) plan.batch.append(walk.sizes[d], walk.strides[1][d], walk.strides[0][d]);
  plan.batch.small = plan.batch.total() <= kMaxOffset;
  plan.applies = plan.rows >= kLeastTurned && plan.columns >= kLeastTurned;
  return plan;
}

// Tiles of a plan: column tiles run fastest, then row tiles, then matrices.
struct TransposeTiles {
  int64_t rows, columns, in_step, out_step;
  uint32_t total;
  FastDivisor across, down;
  ReduceOffsets batch;

  // Whether 32 bits number the tiles.
  static bool fits(const TransposePlan& plan, int side) { return tiles(plan, side) <= static_cast<double>(kMaxOffset); }
  TransposeTiles(const TransposePlan& plan, int side)
      : rows(plan.rows),
        columns(plan.columns),
        in_step(plan.in_step),
        out_step(plan.out_step),
        total(static_cast<uint32_t>(tiles(plan, side))),
        across(static_cast<uint32_t>((plan.columns + side - 1) / side)),
        down(static_cast<uint32_t>((plan.rows + side - 1) / side)),
        batch(plan.batch) {}

  // The first row and column of a tile, and where its matrices begin.
  ATLED_FN void locate(uint32_t tile, int side, int64_t& row, int64_t& column, int64_t& in, int64_t& out) const {
    const uint32_t line = across.quotient(tile), matrix = down.quotient(line);
    column = static_cast<int64_t>(tile - line * across.divisor) * side;
    row = static_cast<int64_t>(line - matrix * down.divisor) * side;
    batch.locate(matrix, in, out);
  }

 private:
  static double tiles(const TransposePlan& plan, int side) {
    const int64_t across = (plan.columns + side - 1) / side, down = (plan.rows + side - 1) / side;
    return static_cast<double>(across) * static_cast<double>(down) * static_cast<double>(plan.batch.total());
  }
};

}  // namespace atled::core::cuda
