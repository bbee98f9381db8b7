#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/assign.h"
#include "cpu/gemm.h"
#include "cpu/gemm_bf16.h"
#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

// A tensor as matrices: (*, rows, columns).
struct Operand {
  Tensor tensor;
  int64_t rows, columns, row, column;
  int batch;  // how many dimensions come before

  // A vector is one row (left) or one column.
  Operand(atled_tensor* t, bool left) : tensor(Tensor::borrow(t)) { describe(left); }

  void describe(bool left) {
    const int n = tensor->dl.ndim;
    const int64_t *shape = tensor->dl.shape, *strides = tensor->dl.strides;
    batch = n > 2 ? n - 2 : 0;
    if (n == 1) {
      rows = left ? 1 : shape[0];
      columns = left ? shape[0] : 1;
      row = left ? shape[0] : strides[0];
      column = left ? strides[0] : 1;
    } else {
      rows = shape[n - 2];
      columns = shape[n - 1];
      row = strides[n - 2];
      column = strides[n - 1];
    }
  }

  // All matrices as one with many rows, if they lie one behind another.
  bool fold() {
    int64_t total = rows;
    for (int d = batch - 1; d >= 0; --d) {
      if (tensor->dl.shape[d] != 1 && tensor->dl.strides[d] != total * row) return false;
      total *= tensor->dl.shape[d];
    }
    rows = total;
    batch = 0;
    return true;
  }

  // The offset of each matrix when the batch dimensions broadcast to shape.
  std::vector<int64_t> offsets(int ndim, const int64_t* shape, int64_t count) const {
    std::vector<int64_t> all(static_cast<size_t>(count));
    int64_t index[ATLED_MAX_NDIM] = {};
    for (int64_t& offset : all) {
      offset = 0;
      for (int d = ndim - batch; d < ndim; ++d)
        if (tensor->dl.shape[d - ndim + batch] != 1) offset += index[d] * tensor->dl.strides[d - ndim + batch];
      for (int d = ndim - 1; d >= 0 && ++index[d] == shape[d]; --d) index[d] = 0;
    }
    return all;
  }
};

std::complex<double> number(const atled_value& v) {
  return {as_double(v), v.tag == ATLED_COMPLEX_VALUE ? v.u.complex[1] : 0.0};
}

// out = alpha * a b + beta * out; out is contiguous.
void product(atled_tensor* out, atled_tensor* a, atled_tensor* b, std::complex<double> alpha = 1.0,
             std::complex<double> beta = 0.0) {
  int dtype = compute_dtype(out->dtype);
  if (dtype != out->dtype) {
    Tensor wide = beta == 0.0 ? Tensor::empty(dtype, out->dl.ndim, out->dl.shape) : contiguous(out, dtype);
    product(wide, a, b, alpha, beta);
    return assign(out, wide);
  }
  Operand x(a, true), y(b, false);
  const bool halves =
      a->dtype == ATLED_BFLOAT16 && b->dtype == ATLED_BFLOAT16 && wants_bf16(x.rows, y.columns, x.columns);
  if (halves) dtype = ATLED_BFLOAT16;
  const bool large = !halves && wants_blas(dtype, x.rows, y.columns, x.columns);
  auto prepare = [&](Operand& o, bool left) {
    const bool readable = !large || blas_layout(o.rows, o.columns, o.row, o.column);
    if (o.tensor->dtype == dtype && readable) return;
    Tensor whole = Tensor::empty(dtype, o.tensor->dl.ndim, o.tensor->dl.shape);
    assign(whole, o.tensor);
    o.tensor = whole;
    o.describe(left);
  };
  prepare(x, true);
  prepare(y, false);
  Products p;
  p.dtype = dtype;
  p.batches = 1;
  p.c = data<void>(out);
  p.alpha = alpha;
  p.beta = beta;
  std::vector<int64_t> x_offsets, y_offsets;
  const bool folded = y.batch == 0 && x.batch > 0 && x.fold();
  if (!folded && (x.batch > 0 || y.batch > 0)) {
    const int batch = std::max(x.batch, y.batch);  // out's leading dimensions
    for (int d = 0; d < batch; ++d) p.batches *= out->dl.shape[d];
    x_offsets = x.offsets(batch, out->dl.shape, p.batches);
    y_offsets = y.offsets(batch, out->dl.shape, p.batches);
  }
  p.m = x.rows;
  p.k = x.columns;
  p.n = y.columns;
  p.x = Matrices{data<void>(x.tensor), x.row, x.column, x_offsets.empty() ? nullptr : x_offsets.data()};
  p.y = Matrices{data<void>(y.tensor), y.row, y.column, y_offsets.empty() ? nullptr : y_offsets.data()};
  halves ? multiply_bf16(p) : multiply(p);
}

void matmul(atled_frame* f) { product(out_tensor(f), arg_tensor(f, 0), arg_tensor(f, 1)); }

void add_product(atled_frame* f) {
  atled_tensor *out = out_tensor(f), *input = arg_tensor(f, 0);
  const std::complex<double> beta = number(f->args[3]);
  if (beta != 0.0 && out->dl.data != input->dl.data) assign(out, input);
  product(out, arg_tensor(f, 1), arg_tensor(f, 2), number(f->args[4]), beta);
}

void add_matmul() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  for (const char* op : {"core::matmul", "core::mm", "core::bmm", "core::mv", "core::dot"}) cpu(op, kernel<matmul>);
  for (const char* op : {"core::addmm", "core::addmv", "core::baddbmm"}) cpu(op, kernel<add_product>);
}

ATLED_KERNELS(add_matmul);

}  // namespace
}  // namespace atled::core
