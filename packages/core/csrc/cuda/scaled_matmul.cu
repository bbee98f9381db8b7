// scaled_mm by cuBLASLt's products of float8; where a GPU has none, by those of bfloat16, which has all their numbers.
#include <algorithm>

#include "cuda/blas.h"
#include "cuda/elementwise.cuh"
#include "cuda/matmul_layout.h"
#include "ops/layout.h"
#include "ops/scaled_matmul.h"

namespace atled::core::cuda {

namespace {

constexpr int64_t kUnit = 16;  // cuBLASLt takes rows of float8 of so many bytes, and addresses that are multiples of it

int64_t whole_units(int64_t n) { return (n + kUnit - 1) / kUnit * kUnit; }
bool is_aligned(const atled_tensor* t) { return reinterpret_cast<uintptr_t>(t->dl.data) % kUnit == 0; }

Tensor first_columns(const Tensor& t, int64_t columns) {
  Layout part(t);
  part.shape[1] = columns;
  return part.view(t);
}

Tensor turned(atled_tensor* t) {
  Layout matrix(t);
  std::swap(matrix.shape[0], matrix.shape[1]);
  std::swap(matrix.strides[0], matrix.strides[1]);
  return matrix.view(t);
}

// A matrix of float8 whose rows are as cuBLASLt takes them, with zeros behind its own.
struct Rows {
  Tensor tensor;
  int64_t ld;

  Rows(atled_tensor* t, int64_t rows, int64_t columns) : tensor(Tensor::borrow(t)), ld(columns) {
    const int64_t *shape = t->dl.shape, *strides = t->dl.strides;
    const BlasView view = blas_view(shape[0], shape[1], strides[0], strides[1]);
    const bool whole = rows == shape[0] && columns == shape[1];
    if (whole && view.readable && !view.transposed && view.ld % kUnit == 0 && is_aligned(t)) {
      ld = view.ld;
      return;
    }
    tensor = Tensor::empty(t->dtype, {rows, columns}, t->dl.device);
    if (!whole) assign(tensor, value(0));
    Layout own(tensor);
    own.shape[0] = shape[0];
    own.shape[1] = shape[1];
    assign(own.view(tensor), t);
  }
};

BlasMatrices matrices(const Tensor& t, int64_t ld, bool transposed, const atled_tensor* scale) {
  return {t->dl.data, ld, 0, transposed, t->dtype, scale ? static_cast<const float*>(scale->dl.data) : nullptr};
}

BlasProduct product_into(const Tensor& out, int64_t k) {
  BlasProduct product{};
  product.dtype = out->dtype;
  product.device = out->dl.device.device_id;
  product.batches = 1;
  product.m = out->dl.shape[0];
  product.n = out->dl.shape[1];
  product.k = k;
  product.out = out->dl.data;
  product.c = out->dl.data;
  product.alpha = 1.0;
  return product;
}

// The product into `result`, float32 as it is, or p.out with scales and bias. False where cuBLASLt has none.
bool by_float8(const ScaledProduct& p, const Tensor& result) {
  const int64_t columns = result->dl.shape[1], k = whole_units(p.a->dl.shape[1]), n = whole_units(columns);
  const Rows x(p.a, p.a->dl.shape[0], k), y(turned(p.b), n, k);
  const bool whole = n == columns && is_aligned(result), finishes = result.get() == p.out;
  const Tensor out = whole ? result : Tensor::empty(result->dtype, {result->dl.shape[0], n}, result->dl.device);
  BlasProduct product = product_into(out, k);
  product.x = matrices(x.tensor, x.ld, false, finishes ? p.scale_a : nullptr);
  product.y = matrices(y.tensor, y.ld, true, finishes ? p.scale_b : nullptr);
  if (finishes && p.bias) {
    // cuBLASLt adds no bias of float32 to products of float8.
    const bool plain = whole && out->dtype != ATLED_FLOAT32 && p.bias->dl.strides[0] == 1;
    if (plain && takes_bias(out->dtype, p.bias->dl.data)) {
      product.bias = p.bias->dl.data;
    } else {
      product.beta = 1.0;
      assign(first_columns(out, columns), p.bias);
    }
  }
  if (!multiply(product)) return false;
  if (!whole) assign(result, first_columns(out, columns));
  return true;
}

Tensor float32_like(const atled_tensor* t) { return Tensor::empty(ATLED_FLOAT32, 2, t->dl.shape, t->dl.device); }

Tensor converted(atled_tensor* t, int dtype) {
  Tensor copy = Tensor::empty(dtype, 2, t->dl.shape, t->dl.device);
  assign(copy, t);
  return copy;
}

Tensor by_bfloat16(const ScaledProduct& p) {
  static const Op matmul{"core::matmul"};
  const int64_t k = p.a->dl.shape[1];
  const Tensor out = float32_like(p.out);
  const Tensor x = converted(p.a, ATLED_BFLOAT16), y = converted(p.b, ATLED_BFLOAT16);
  BlasProduct product = product_into(out, k);
  product.x = matrices(x, k, false, nullptr);
  product.y = matrices(y, product.n, false, nullptr);
  if (k > 0 && multiply(product)) return out;
  return matmul(converted(p.a, ATLED_FLOAT32), converted(p.b, ATLED_FLOAT32));
}

void scaled_mm(atled_frame* f) {
  const ScaledProduct p(f);
  if (numel(p.out) == 0) return;
  const DeviceGuard device(p.out->dl.device.device_id);
  const int64_t k = p.a->dl.shape[1], most = std::max({p.out->dl.shape[0], p.out->dl.shape[1], k});
  if (most > kMostBlas - kUnit)
    fail(ATLED_E_VALUE, "expected fewer than 2^31 - 16 rows and columns, got %lld", (long long)most);
  const bool single = p.has_single_scales();
  const Tensor result = single ? Tensor::borrow(p.out) : float32_like(p.out);
  const bool made = k > 0 && by_float8(p, result);
  if (!made || !single) p.finish(made ? result : by_bfloat16(p));
}

void add_scaled_matmul() { cuda_kernel("core::scaled_mm", kernel<scaled_mm>); }
ATLED_CUDA_KERNELS(add_scaled_matmul);

}  // namespace

}  // namespace atled::core::cuda
