// How BLAS may read matrices of any strides: plain functions, compiled for the host too.
#pragma once

#include <cstdint>

#include "cuda/geometry.h"

namespace atled::core::cuda {

constexpr int64_t kMostBlas = INT64_C(0x7fffffff);  // BLAS's sizes and steps
constexpr int64_t kMostBatch = 65535;               // the blocks of a launch along one dimension
constexpr int64_t kMostLaunches = 4;                // rather than a copy that lets one do

struct BlasView {
  bool readable, transposed;
  int64_t ld;
};

// Element (i, j) is i * row + j * column elements from the first.
inline BlasView blas_view(int64_t rows, int64_t columns, int64_t row, int64_t column) {
  auto fits = [](int64_t ld, int64_t least) { return ld >= least && ld >= 1 && ld <= kMostBlas; };
  if (column == 1 || columns <= 1) {
    const int64_t ld = rows > 1 ? row : columns > 1 ? columns : 1;
    if (fits(ld, columns)) return {true, false, ld};
  }
  if (row == 1 || rows <= 1) {
    const int64_t ld = columns > 1 ? column : rows > 1 ? rows : 1;
    if (fits(ld, rows)) return {true, true, ld};
  }
  return {false, false, 0};
}

// The dimension of a simplified walk whose steps one launch takes: the longest. -1 for a single product.
inline int batched_dim(const Walk& walk) {
  int longest = -1;
  for (int d = 0; d < walk.ndim; ++d)
    if (longest < 0 || walk.sizes[d] > walk.sizes[longest]) longest = d;
  return longest;
}

inline int64_t launches(const Walk& walk) {
  const int longest = batched_dim(walk);
  return longest < 0 ? 1 : walk.total() / walk.sizes[longest];
}

// Calls f(elements from each operand's first) for each step along all dimensions but one.
template <class F>
void each_outer(const Walk& walk, int but, F&& f) {
  int64_t index[kMaxHostDims] = {};
  for (bool more = true; more;) {
    int64_t at[kMaxOperands] = {};
    for (int k = 0; k < walk.operands; ++k)
      for (int d = 0; d < walk.ndim; ++d) at[k] += index[d] * walk.strides[k][d];
    f(at);
    more = false;
    for (int d = 0; d < walk.ndim && !more; ++d) {
      if (d == but) continue;
      more = ++index[d] < walk.sizes[d];
      if (!more) index[d] = 0;
    }
  }
}

}  // namespace atled::core::cuda
