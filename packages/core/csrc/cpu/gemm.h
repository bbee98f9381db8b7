// Matrix products of host memory: OpenBLAS for large floating-point ones, core's own blocked kernel for the rest.
#pragma once

#include <complex>
#include <cstdint>

namespace atled::core {

// Element (i, j) of matrix b is at data + (offsets[b] + i * row + j * column) elements; no offsets mean one matrix.
struct Matrices {
  const void* data;
  int64_t row, column;
  const int64_t* offsets;
};

// c[b] = alpha * x[b] y[b] + beta * c[b] for each of `batches` products of m x k by k x n; c is row-major and whole,
// c[b] begins at b * m * n. With beta 0, c is not read. dtype: any but float16 and bfloat16.
struct Products {
  int dtype;
  int64_t batches, m, n, k;
  Matrices x, y;
  void* c;
  std::complex<double> alpha = 1.0, beta = 0.0;
};

// The result does not depend on the number of threads.
void multiply(const Products& p);

// True when OpenBLAS can read such a matrix as it is (row-major or column-major, no overlaps).
bool blas_layout(int64_t rows, int64_t columns, int64_t row, int64_t column);
// True when multiply would rather have blas_layout for such sizes.
bool wants_blas(int dtype, int64_t m, int64_t n, int64_t k);

}  // namespace atled::core
