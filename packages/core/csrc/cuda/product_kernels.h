// Own kernels for products of matrices: all dtypes and strides, and what reads a matrix once.
#pragma once

#include <complex>

#include "cuda/reduce_plan.h"

namespace atled::core::cuda {

// out[b] = alpha * x[b] y[b] + beta * c[b] for each of `batches` products of m x k by k x n. Each out[b] and c[b] is
// row-major and whole, `out_step` after the one before; c may be out, and with beta 0 it is not read. k may be 0. Steps
// and strides are in elements.
struct ProductJob {
  int dtype;
  int device;  // the current one
  int64_t batches, m, n, k;
  const void *x, *y;
  void* out;
  const void* c;
  int64_t out_step, x_row, x_column, y_row, y_column;
  ReduceOffsets batch;  // from b to x's and y's elements
  std::complex<double> alpha, beta;
};

// Any product, by tiles in shared memory: each sum in the order of k, fused where the dtype is floating.
void multiply_tiles(const ProductJob& job);

// A product of rows with a vector (m or n is 1), both with neighbouring elements along k: at the speed of memory. Sums
// are laid out by reduce_plan.h, the same at every run.
void multiply_rows(const ProductJob& job);

}  // namespace atled::core::cuda
