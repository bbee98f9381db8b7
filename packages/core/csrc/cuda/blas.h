// Products of floating-point and complex matrices by cuBLASLt, and what is kept between them. Throws Error; any thread
// may call it.
#pragma once

#include <complex>
#include <cstdint>

#include "atled/plugin.hpp"

namespace atled::core::cuda {

// A batch of matrices, each row-major, or column-major where `transposed`; consecutive rows (columns) are `ld` elements
// apart, consecutive matrices `step`, which may be 0. `scale`, one float32 on the device or NULL, is a factor of
// float8's.
struct BlasMatrices {
  const void* data;
  int64_t ld, step;
  bool transposed;
  int dtype;
  const float* scale;
};

// out[b] = alpha * x[b] y[b] + beta * c[b] + bias for each of `batches` products of m x k by k x n, none of them 0. out
// and c are row-major and whole, c may be out; with beta 0, c is not read. bias, n elements or NULL, is added to each
// row; out is what the activation makes of all that, and `before`, a matrix like out, gets gelu's argument.
enum class Activation : uint8_t { kNone, kRelu, kGelu };
struct BlasProduct {
  int dtype;   // out's, and the factors', but that float32, bfloat16 and float16 may be made of narrower ones
  int device;  // the current one
  int64_t batches, m, n, k;
  BlasMatrices x, y;
  void* out;
  int64_t out_step;
  const void* c;
  const void* bias;
  Activation activation;
  void* before;
  std::complex<double> alpha, beta;
};

bool has_blas(int dtype);
// Whether a bias may be added: to a single product of some dtypes, from an address that is a multiple of 16.
bool takes_bias(int dtype, const void* bias);
// Whether an activation may be asked for: of a single product with n columns.
bool takes_activation(Activation activation, int dtype, int64_t n, const void* before);
// False when cuBLASLt has no algorithm for the product, which is then still to be done.
bool multiply(const BlasProduct& p);

// Whether products of float32 and complex64 may round their operands to TensorFloat-32 (8 bits of exponent, 10 of
// mantissa); sums are float32 all the same. Off unless set.
void allow_tf32(bool allowed);

}  // namespace atled::core::cuda
