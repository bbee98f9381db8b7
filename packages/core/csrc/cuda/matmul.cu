// Products of matrices: cuBLASLt for floating and complex numbers, own kernels for integers, for rows times a vector,
// and for what cuBLASLt does not take.
#include "cuda/blas.h"
#include "cuda/elementwise.cuh"
#include "cuda/matmul_layout.h"
#include "cuda/product_kernels.h"
#include "cuda/reduce.cuh"
#include "functors/explog.h"
#include "ops/layout.h"
#include "ops/matrix_operand.h"

namespace atled::core::cuda {

namespace {

// The batch dimensions of out, x and y together, in elements; those of out in order, so that what out's products have
// between them is a whole product.
Walk batches_of(const atled_tensor* out, const MatrixOperand& x, const MatrixOperand& y, int64_t product) {
  Walk walk;
  walk.operands = 3;
  const MatrixOperand* operands[] = {&x, &y};
  walk.ndim = std::max(x.batch, y.batch);
  int64_t step = product;
  for (int d = 0; d < walk.ndim; ++d) {
    walk.sizes[d] = out->dl.shape[walk.ndim - 1 - d];
    walk.strides[0][d] = step;
    step *= walk.sizes[d];
    for (int k = 0; k < 2; ++k) {
      const MatrixOperand& o = *operands[k];
      const int own = o.batch - 1 - d;
      walk.strides[k + 1][d] = own < 0 || o.tensor->dl.shape[own] == 1 ? 0 : o.tensor->dl.strides[own];
    }
  }
  walk.simplify();
  return walk;
}

const LaunchTable gelu_launches = LaunchTable().unary<GeluTanh>(Floats{});

class Product {
 public:
  // out is contiguous.
  Product(atled_tensor* out, atled_tensor* a, atled_tensor* b)
      : out_(out),
        factors_(keeps_halves(a, b) ? a->dtype : out->dtype),
        x_(convert(a), true),
        y_(convert(b), false),
        device_(out->dl.device.device_id) {}

  // out = relu(a b + input), if there is one
  void run_relu(atled_tensor* input) {
    static const Op relu{"core::relu"};
    activation_ = Activation::kRelu;
    run(1.0, input ? 1.0 : 0.0, input);
    if (!is_active_) relu.inplace(out_);
  }
  // out = a b + input, if there is one; active = gelu(out)
  void run_gelu(atled_tensor* input, atled_tensor* active) {
    activation_ = Activation::kGelu;
    active_ = active;
    run(1.0, input ? 1.0 : 0.0, input);
    if (is_active_) return;
    const int dtype = compute_dtype(out_->dtype);
    Elementwise e;
    e.output(active, dtype).input(out_, dtype);
    find_launch(gelu_launches, dtype)(e, nullptr);
  }
  // out = alpha * a b + beta * input, which broadcasts
  void run(std::complex<double> alpha, std::complex<double> beta, atled_tensor* input) {
    alpha_ = alpha;
    beta_ = beta;
    input_ = beta == 0.0 ? nullptr : input;
    if (numel(out_) == 0) return;
    const DeviceGuard device(device_);
    if (y_.batch == 0 && x_.batch > 0) x_.fold();
    // A column is little beside the matrix, which then need not be copied, nor leave the path for rows.
    if (y_.columns == 1 && y_.batch == 0 && y_.row != 1 && x_.column == 1) make_contiguous(y_, false);
    walk_ = batches_of(out_, x_, y_, x_.rows * y_.columns);
    const bool vector = (x_.rows == 1 || y_.columns == 1) && factors_ == out_->dtype;
    if (vector && (x_.columns == 1 || (x_.column == 1 && y_.row == 1))) return multiply_rows(whole_job());
    const int64_t most = std::max({x_.rows, x_.columns, y_.columns});
    // With alpha 0, cuBLASLt leaves a column that is not c itself unwritten.
    if (has_blas(out_->dtype) && x_.columns > 0 && most <= kMostBlas && alpha_ != 0.0) return by_blas();
    if (factors_ != out_->dtype) return widened().run(alpha, beta, input);
    multiply_tiles(whole_job());
  }

 private:
  // Whether factors of half precision make a result of float32 as they are.
  bool keeps_halves(const atled_tensor* a, const atled_tensor* b) const {
    return out_->dtype == ATLED_FLOAT32 && a->dtype == b->dtype &&
           (a->dtype == ATLED_FLOAT16 || a->dtype == ATLED_BFLOAT16);
  }
  Tensor convert(atled_tensor* t) const { return t->dtype == factors_ ? Tensor::borrow(t) : contiguous(t, factors_); }
  // For own kernels, which have one dtype.
  Product widened() const {
    return Product(out_, contiguous(x_.tensor, out_->dtype), contiguous(y_.tensor, out_->dtype));
  }
  static void make_contiguous(MatrixOperand& o, bool left) {
    const bool folded = o.batch == 0;
    o.tensor = contiguous(o.tensor, o.tensor->dtype);
    o.describe(left);
    if (folded) o.fold();
  }
  static BlasView readable(MatrixOperand& o, bool left) {
    const BlasView view = blas_view(o.rows, o.columns, o.row, o.column);
    if (view.readable) return view;
    make_contiguous(o, left);
    return blas_view(o.rows, o.columns, o.row, o.column);
  }

  // All of it, for an own kernel.
  ProductJob whole_job() const {
    if (walk_.ndim > kMaxDims)
      fail(ATLED_E_NOT_IMPLEMENTED, "expected at most %d batch dimensions that do not join, got %d", kMaxDims,
           walk_.ndim);
    ProductJob job{};
    job.dtype = out_->dtype;
    job.device = device_;
    job.batches = walk_.total();
    job.m = x_.rows;
    job.n = y_.columns;
    job.k = x_.columns;
    job.x = x_.tensor->dl.data;
    job.y = y_.tensor->dl.data;
    job.out = out_->dl.data;
    job.c = addend();
    job.out_step = job.m * job.n;
    job.x_row = x_.row;
    job.x_column = x_.column;
    job.y_row = y_.row;
    job.y_column = y_.column;
    job.alpha = alpha_;
    job.beta = input_ ? beta_ : 0.0;
    ReduceDims dims;
    for (int d = 0; d < walk_.ndim; ++d) dims.append(walk_.sizes[d], walk_.strides[1][d], walk_.strides[2][d]);
    dims.small = job.batches <= kMaxOffset;
    job.batch = ReduceOffsets(dims);
    return job;
  }

  // Where what is added lies like out: in input, or in out.
  const void* addend() const {
    if (!input_) return out_->dl.data;
    const bool whole = input_->dtype == out_->dtype && is_contiguous(input_) && numel(input_) == numel(out_);
    if (whole) return input_->dl.data;
    assign(out_, input_);
    return out_->dl.data;
  }
  // Whether cuBLASLt can add input to each row; what is no matrix is left to the plainer way.
  bool is_bias() const {
    const int last = input_ ? input_->dl.ndim - 1 : -1;
    return last >= 0 && x_.columns > 1 && beta_ == 1.0 && input_->dtype == out_->dtype && out_->dl.ndim == 2 &&
           input_->dl.shape[last] == y_.columns && numel(input_) == y_.columns && input_->dl.strides[last] == 1 &&
           factors_ == out_->dtype && takes_bias(out_->dtype, input_->dl.data);
  }

  void by_blas() {
    BlasView x = readable(x_, true), y = readable(y_, false);
    const int64_t matrix = x_.rows * y_.columns;
    walk_ = batches_of(out_, x_, y_, matrix);
    if (launches(walk_) > kMostLaunches) {
      // Operands that do not broadcast join when they are contiguous.
      for (MatrixOperand* o : {&x_, &y_})
        if (numel(o->tensor) == walk_.total() * o->rows * o->columns) make_contiguous(*o, o == &x_);
      x = readable(x_, true);
      y = readable(y_, false);
      walk_ = batches_of(out_, x_, y_, matrix);
    }
    BlasProduct p{};
    p.dtype = out_->dtype;
    p.device = device_;
    p.m = x_.rows;
    p.n = y_.columns;
    p.k = x_.columns;
    p.alpha = alpha_;
    p.beta = input_ ? beta_ : 0.0;
    const void* c = out_->dl.data;
    if (is_bias()) {
      p.bias = input_->dl.data;
      p.beta = 0.0;
    } else {
      c = addend();
    }
    const int longest = batched_dim(walk_);
    const int64_t batch = longest < 0 ? 1 : walk_.sizes[longest];
    auto step = [&](int operand) { return longest < 0 ? 0 : walk_.strides[operand][longest]; };
    p.x = BlasMatrices{nullptr, x.ld, step(1), x.transposed, factors_, nullptr};
    p.y = BlasMatrices{nullptr, y.ld, step(2), y.transposed, factors_, nullptr};
    p.out_step = step(0);
    each_outer(walk_, longest, [&](const int64_t* at) {
      for (int64_t from = 0; from < batch; from += kMostBatch) {
        const int64_t out_at = at[0] + from * p.out_step;
        p.batches = std::min(batch - from, kMostBatch);
        p.x.data = element(x_.tensor->dl.data, at[1] + from * p.x.step, factors_);
        p.y.data = element(y_.tensor->dl.data, at[2] + from * p.y.step, factors_);
        p.out = element(out_->dl.data, out_at, out_->dtype);
        p.c = element(c, out_at, out_->dtype);
        is_active_ = multiply_active(p);
        if (!is_active_ && !multiply(p)) by_tiles(p);
      }
    });
  }
  // With the activation that is wanted, if cuBLASLt takes it.
  bool multiply_active(BlasProduct p) const {
    if (!takes_activation(activation_, p.dtype, p.n, p.out)) return false;
    p.activation = activation_;
    if (activation_ == Activation::kGelu) {
      // What is added is not read from where the argument is kept.
      if (p.beta != 0.0) return false;
      p.before = p.out;
      p.out = active_->dl.data;
      p.c = p.out;
    }
    return multiply(p);
  }
  static void* element(const void* from, int64_t i, int dtype) {
    return static_cast<char*>(const_cast<void*>(from)) + i * itemsize(dtype);
  }

  // Has rows x columns matrices, which lie in o, as ones of a dtype; answers what they are in then.
  static Tensor widen(BlasMatrices& m, const MatrixOperand& o, const BlasProduct& p, int64_t rows, int64_t columns) {
    if (m.dtype == p.dtype) return o.tensor;
    Layout lies;
    lies.push(p.batches, m.step);
    lies.push(rows, m.transposed ? 1 : m.ld);
    lies.push(columns, m.transposed ? m.ld : 1);
    lies.offset = (static_cast<const char*>(m.data) - data<const char>(o.tensor)) / itemsize(m.dtype);
    Tensor wide = contiguous(lies.view(o.tensor), p.dtype);
    m = BlasMatrices{wide->dl.data, columns, rows * columns, false, p.dtype, nullptr};
    return wide;
  }

  // What cuBLASLt has no algorithm for.
  void by_tiles(BlasProduct p) const {
    const Tensor x = widen(p.x, x_, p, p.m, p.k), y = widen(p.y, y_, p, p.k, p.n);
    ProductJob job{};
    job.dtype = p.dtype;
    job.device = p.device;
    job.batches = p.batches;
    job.m = p.m;
    job.n = p.n;
    job.k = p.k;
    job.x = p.x.data;
    job.y = p.y.data;
    job.out = p.out;
    job.c = p.bias ? addend() : p.c;
    job.out_step = p.out_step;
    job.x_row = p.x.transposed ? 1 : p.x.ld;
    job.x_column = p.x.transposed ? p.x.ld : 1;
    job.y_row = p.y.transposed ? 1 : p.y.ld;
    job.y_column = p.y.transposed ? p.y.ld : 1;
    job.alpha = p.alpha;
    job.beta = p.bias ? beta_ : p.beta;
    ReduceDims dims;
    dims.append(p.batches, p.x.step, p.y.step);
    job.batch = ReduceOffsets(dims);
    multiply_tiles(job);
  }

  atled_tensor* out_;
  int factors_;  // their dtype: out's, or a half where out is float32
  MatrixOperand x_, y_;
  int device_;
  std::complex<double> alpha_ = 1.0, beta_ = 0.0;
  atled_tensor* input_ = nullptr;
  Activation activation_ = Activation::kNone;  // wanted, of a single product
  bool is_active_ = false;                     // done by cuBLASLt
  atled_tensor* active_ = nullptr;
  Walk walk_;
};

void matmul(atled_frame* frame) {
  Product(out_tensor(frame), arg_tensor(frame, 0), arg_tensor(frame, 1)).run(1.0, 0.0, nullptr);
}

void add_product(atled_frame* frame) {
  const int last = static_cast<int>(frame->op->nargs) - 1;  // alpha
  Product(out_tensor(frame), arg_tensor(frame, 1), arg_tensor(frame, 2))
      .run(complex_number(frame->args[last]), complex_number(frame->args[last - 1]), arg_tensor(frame, 0));
}

void relu_product(atled_frame* frame) {
  Product(out_tensor(frame), arg_tensor(frame, 1), arg_tensor(frame, 2)).run_relu(arg_tensor(frame, 0));
}

void gelu_product(atled_frame* frame) {
  Product(out_tensor(frame, 1), arg_tensor(frame, 1), arg_tensor(frame, 2))
      .run_gelu(arg_tensor(frame, 0), out_tensor(frame));
}

void add_matmul() {
  for (const char* op : {"core::matmul", "core::mm", "core::bmm", "core::mv", "core::dot"})
    cuda_kernel(op, kernel<matmul>);
  for (const char* op : {"core::addmm", "core::addmv", "core::baddbmm"}) cuda_kernel(op, kernel<add_product>);
  cuda_kernel("core::addmm_relu", kernel<relu_product>);
  cuda_kernel("core::addmm_gelu", kernel<gelu_product>);
}
ATLED_CUDA_KERNELS(add_matmul);

}  // namespace

}  // namespace atled::core::cuda
