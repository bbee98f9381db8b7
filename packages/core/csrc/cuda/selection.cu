#include "cuda/elementwise.cuh"
#include "functors/arithmetic.h"
#include "functors/logical.h"
#include "functors/selection.h"

namespace atled::core::cuda {

namespace {

void choose(atled_frame* frame, const atled_value& condition, const atled_value& a, const atled_value& b, int dtype) {
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(condition, ATLED_BOOL).operand(a, dtype).operand(b, dtype);
  visit_size(itemsize(dtype), [&](auto tag) {
    using T = typename decltype(tag)::type;
    e.run<T, bool, T, T>(Where{});
  });
}

void where(atled_frame* frame) {
  const atled_value &a = frame->args[1], &b = frame->args[2];
  const bool tensors = a.tag == ATLED_TENSOR || b.tag == ATLED_TENSOR;
  choose(frame, frame->args[0], a, b, tensors ? promoted(frame, 0b110) : promote_scalar(scalar_dtype(a), b));
}

void masked_fill(atled_frame* frame) {
  choose(frame, frame->args[1], frame->args[2], frame->args[0], arg_tensor(frame, 0)->dtype);
}

const LaunchTable clamp_launches = LaunchTable().ternary<Clamp>(Integers{}).ternary<Clamp>(Floats{});
const LaunchTable raise_launches = LaunchTable().binary<Maximum>(Integers{}).binary<Maximum>(Floats{});
const LaunchTable lower_launches = LaunchTable().binary<Minimum>(Integers{}).binary<Minimum>(Floats{});

void clamp(atled_frame* frame) {
  const int promoted_dtype = promoted(frame, 0b111), dtype = compute_dtype(promoted_dtype);
  const LaunchTable& table = arg_is_none(frame, 1)   ? lower_launches
                             : arg_is_none(frame, 2) ? raise_launches
                                                     : clamp_launches;
  Elementwise e;
  e.output(out_tensor(frame), dtype);
  for (int i = 0; i < 3; ++i) e.operand(frame->args[i], dtype);
  find_launch(table, promoted_dtype)(e, nullptr);
}

const LaunchTable relu_launches = LaunchTable().unary<Relu>(Integers{}).unary<Relu>(Floats{});
const LaunchTable relu_backward_launches = LaunchTable().binary<ReluBackward>(Floats{});
const LaunchTable copysign_launches = LaunchTable().binary<CopySign>(Floats{});

const LaunchTable heaviside_launches = [] {
  LaunchTable t;
  t.set<LogicalOr, bool, bool, bool>(ATLED_BOOL);
  return t.binary<Heaviside>(Integers{}).binary<Heaviside>(Floats{});
}();
const LaunchTable fmax_launches = [] {
  LaunchTable t;
  t.set<LogicalOr, bool, bool, bool>(ATLED_BOOL);
  return t.binary<Maximum>(Integers{}).binary<Fmax>(Floats{});
}();
const LaunchTable fmin_launches = [] {
  LaunchTable t;
  t.set<LogicalAnd, bool, bool, bool>(ATLED_BOOL);
  return t.binary<Minimum>(Integers{}).binary<Fmin>(Floats{});
}();
// What nan_to_num leaves alone: numbers that are never NaN or infinite.
const LaunchTable kept_launches = [] {
  LaunchTable t;
  t.set<Truth, bool, bool>(ATLED_BOOL);
  return t.unary<Positive>(Unsigned{}).share_signed();
}();

void nan_to_num(atled_frame* frame) {
  const atled_tensor* input = arg_tensor(frame, 0);
  const int dtype = compute_dtype(input->dtype);
  auto number = [&](int i, double otherwise) { return arg_is_none(frame, i) ? otherwise : arg_double(frame, i); };
  const double limit = largest_finite(input->dtype), nan = number(1, 0), high = number(2, limit),
               low = number(3, -limit);
  Elementwise e;
  e.output(out_tensor(frame), dtype).input(input, dtype);
  if (input->dtype < ATLED_FLOAT16) return kept_launches[dtype](e, nullptr);
  auto run = [&](auto tag) {
    using T = typename decltype(tag)::type;
    const NanToNum<T> f{static_cast<T>(nan), static_cast<T>(high), static_cast<T>(low)};
    if (is_complex(dtype))
      e.run<std::complex<T>, std::complex<T>>(f);
    else
      e.run<T, T>(f);
  };
  real_dtype(dtype) == ATLED_FLOAT32 ? run(Tag<float>{}) : run(Tag<double>{});
}

void add_selection() {
  cuda_kernel("core::where", kernel<where>);
  cuda_kernel("core::clamp", kernel<clamp>);
  cuda_kernel("core::masked_fill", kernel<masked_fill>);
  cuda_kernel("core::relu", run_same, &relu_launches);
  cuda_kernel("core::relu_backward", run_float, &relu_backward_launches);
  cuda_kernel("core::copysign", run_float, &copysign_launches);
  cuda_kernel("core::clamp_min", run_same, &raise_launches);
  cuda_kernel("core::clamp_max", run_same, &lower_launches);
  cuda_kernel("core::fmax", run_same, &fmax_launches);
  cuda_kernel("core::fmin", run_same, &fmin_launches);
  cuda_kernel("core::heaviside", run_same, &heaviside_launches);
  cuda_kernel("core::nan_to_num", kernel<nan_to_num>);
}
ATLED_CUDA_KERNELS(add_selection);

}  // namespace

}  // namespace atled::core::cuda
