#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/assign.h"
#include "cpu/gemm.h"
#include "cpu/gemm_bf16.h"
#include "cpu/halves.h"
#include "cpu/parallel.h"
#include "dispatch/register.h"
#include "functors/explog.h"
#include "functors/selection.h"
#include "ops/layout.h"
#include "ops/matrix_operand.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

// The offset of each matrix when the batch dimensions broadcast to shape.
std::vector<int64_t> offsets(const MatrixOperand& o, int ndim, const int64_t* shape, int64_t count) {
  const DLTensor& t = o.tensor->dl;
  std::vector<int64_t> all(static_cast<size_t>(count));
  int64_t index[ATLED_MAX_NDIM] = {};
  for (int64_t& offset : all) {
    offset = 0;
    for (int d = ndim - o.batch; d < ndim; ++d)
      if (t.shape[d - ndim + o.batch] != 1) offset += index[d] * t.strides[d - ndim + o.batch];
    for (int d = ndim - 1; d >= 0 && ++index[d] == shape[d]; --d) index[d] = 0;
  }
  return all;
}

// A view with the last two dimensions exchanged.
Tensor transposed(atled_tensor* t) {
  Layout layout(t);
  std::swap(layout.shape[layout.ndim - 2], layout.shape[layout.ndim - 1]);
  std::swap(layout.strides[layout.ndim - 2], layout.strides[layout.ndim - 1]);
  return layout.view(t);
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
  MatrixOperand x(a, true), y(b, false);
  const bool halves =
      a->dtype == ATLED_BFLOAT16 && b->dtype == ATLED_BFLOAT16 && wants_bf16(x.rows, y.columns, x.columns);
  if (halves) dtype = ATLED_BFLOAT16;
  const bool large = !halves && wants_blas(dtype, x.rows, y.columns, x.columns);
  auto prepare = [&](MatrixOperand& o, bool left) {
    const bool readable = !large || blas_layout(o.rows, o.columns, o.row, o.column);
    if (o.tensor->dtype == dtype && readable) return;
    // Columns that lie side by side stay so: to turn a matrix takes longer than to convert it.
    const bool turned = o.tensor->dl.ndim >= 2 && o.row == 1 && o.column >= o.rows && o.columns > 1;
    const Tensor from = turned ? transposed(o.tensor) : Tensor::borrow(o.tensor);
    const Tensor whole = Tensor::empty(dtype, from->dl.ndim, from->dl.shape);
    assign(whole, from);
    o.tensor = turned ? transposed(whole) : Tensor::borrow(whole);
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
    x_offsets = offsets(x, batch, out->dl.shape, p.batches);
    y_offsets = offsets(y, batch, out->dl.shape, p.batches);
  }
  p.m = x.rows;
  p.k = x.columns;
  p.n = y.columns;
  p.x = Matrices{data<void>(x.tensor), x.row, x.column, x_offsets.empty() ? nullptr : x_offsets.data()};
  p.y = Matrices{data<void>(y.tensor), y.row, y.column, y_offsets.empty() ? nullptr : y_offsets.data()};
  halves ? multiply_bf16(p) : multiply(p);
}

void matmul(atled_frame* f) { product(out_tensor(f), arg_tensor(f, 0), arg_tensor(f, 1)); }

// The sum of x[i] * y[i] in float, block by block.
template <class T>
double half_dot(const T* x, const T* y, int64_t n) {
  constexpr int64_t kBlock = 2048;
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  std::vector<float> sums(static_cast<size_t>(blocks));
  parallel(blocks, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      sums[static_cast<size_t>(i)] =
          ATLED_PICK_OF(halves, dot<T>)(x + i * kBlock, y + i * kBlock, std::min(kBlock, n - i * kBlock));
  });
  double total = 0;
  for (const float sum : sums) total += static_cast<double>(sum);
  return total;
}

void dot(atled_frame* f) {
  const atled_tensor *x = arg_tensor(f, 0), *y = arg_tensor(f, 1);
  const int dtype = x->dtype;
  if (compute_dtype(dtype) == dtype || y->dtype != dtype || !is_contiguous(x) || !is_contiguous(y)) return matmul(f);
  const bool half = dtype == ATLED_FLOAT16;
  assign(out_tensor(f), value(half ? half_dot(data<Half>(x), data<Half>(y), numel(x))
                                   : half_dot(data<BFloat16>(x), data<BFloat16>(y), numel(x))));
}

void add_product(atled_frame* f) {
  atled_tensor *out = out_tensor(f), *input = arg_tensor(f, 0);
  const int last = static_cast<int>(f->op->nargs) - 1;  // alpha
  const std::complex<double> beta = complex_number(f->args[last - 1]);
  if (beta != 0.0 && out->dl.data != input->dl.data) assign(out, input);
  product(out, arg_tensor(f, 1), arg_tensor(f, 2), complex_number(f->args[last]), beta);
}

const LoopTable relu_loops = LoopTable().unary<Relu>(Floats{}), add_relu_loops = LoopTable().binary<AddRelu>(Floats{});

void relu_product(atled_frame* f) {
  atled_tensor *out = out_tensor(f), *input = arg_tensor(f, 0);
  product(out, arg_tensor(f, 1), arg_tensor(f, 2));
  const int dtype = compute_dtype(out->dtype);
  Elementwise e;
  e.output(out, dtype).input(out, dtype);
  if (input) e.input(input, dtype);
  e.run(find_loop(input ? add_relu_loops : relu_loops, dtype));
}

const LoopTable gelu_loops = LoopTable().unary<GeluTanh>(Floats{});

void gelu_product(atled_frame* f) {
  atled_tensor *before = out_tensor(f, 1), *input = arg_tensor(f, 0);
  if (input) assign(before, input);
  product(before, arg_tensor(f, 1), arg_tensor(f, 2), 1.0, input ? 1.0 : 0.0);
  const int dtype = compute_dtype(before->dtype);
  Elementwise e;
  e.output(out_tensor(f), dtype).input(before, dtype);
  e.run(find_loop(gelu_loops, dtype));
}

void add_matmul() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  for (const char* op : {"core::matmul", "core::mm", "core::bmm", "core::mv"}) cpu(op, kernel<matmul>);
  cpu("core::dot", kernel<dot>);
  for (const char* op : {"core::addmm", "core::addmv", "core::baddbmm"}) cpu(op, kernel<add_product>);
  cpu("core::addmm_relu", kernel<relu_product>);
  cpu("core::addmm_gelu", kernel<gelu_product>);
}

ATLED_KERNELS(add_matmul);

}  // namespace
}  // namespace atled::core
