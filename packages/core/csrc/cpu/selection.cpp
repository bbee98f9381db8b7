#include "functors/selection.h"

#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "functors/arithmetic.h"
#include "functors/half_order.h"
#include "functors/logical.h"

namespace atled::core {

namespace {

atled_loop where_loop(int dtype) {
  return visit_size(itemsize(dtype), [](auto tag) -> atled_loop {
    using T = typename decltype(tag)::type;
    return ATLED_PICK(ternary<T, uint8_t, T, T, Where>);
  });
}

void choose(atled_frame* frame, const atled_value& condition, const atled_value& a, const atled_value& b, int dtype) {
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(condition, ATLED_BOOL).operand(a, dtype).operand(b, dtype);
  e.run(where_loop(dtype));
}

void where(atled_frame* frame) {
  const atled_value &a = frame->args[1], &b = frame->args[2];
  const bool tensors = a.tag == ATLED_TENSOR || b.tag == ATLED_TENSOR;
  choose(frame, frame->args[0], a, b, tensors ? promoted(frame, 0b110) : promote_scalar(scalar_dtype(a), b));
}

void masked_fill(atled_frame* frame) {
  choose(frame, frame->args[1], frame->args[2], frame->args[0], arg_tensor(frame, 0)->dtype);
}

const LoopTable clamp_loops = [] {
  LoopTable t;
  t[ATLED_FLOAT16] = ATLED_PICK(ternary<uint16_t, uint16_t, uint16_t, uint16_t, HalfClamp<0x7C00>>);
  t[ATLED_BFLOAT16] = ATLED_PICK(ternary<uint16_t, uint16_t, uint16_t, uint16_t, HalfClamp<0x7F80>>);
  return t.ternary<Clamp>(Integers{}).ternary<Clamp>(Floats{});
}();
const LoopTable raise_loops =
    LoopTable().binary<Maximum>(Integers{}).binary<Maximum>(Floats{}).half_bits<HalfMaximum>();
const LoopTable lower_loops =
    LoopTable().binary<Minimum>(Integers{}).binary<Minimum>(Floats{}).half_bits<HalfMinimum>();

void clamp(atled_frame* frame) {
  const int promoted_dtype = promoted(frame, 0b111);
  const LoopTable& table = arg_is_none(frame, 1) ? lower_loops : arg_is_none(frame, 2) ? raise_loops : clamp_loops;
  const int dtype = table[promoted_dtype] ? promoted_dtype : compute_dtype(promoted_dtype);
  Elementwise e;
  e.output(out_tensor(frame), dtype);
  for (int i = 0; i < 3; ++i) e.operand(frame->args[i], dtype);
  e.run(find_loop(table, promoted_dtype));
}

// float16 and bfloat16 are compared and moved as they are, rather than widened.
const LoopTable relu_loops = [] {
  LoopTable t;
  t[ATLED_FLOAT16] = ATLED_PICK(unary<uint16_t, uint16_t, HalfRelu<0x7C00>>);
  t[ATLED_BFLOAT16] = ATLED_PICK(unary<uint16_t, uint16_t, HalfRelu<0x7F80>>);
  return t.unary<Relu>(Integers{}).unary<Relu>(Floats{});
}();
const LoopTable relu_backward_loops = [] {
  LoopTable t;
  t[ATLED_FLOAT16] = ATLED_PICK(binary<uint16_t, uint16_t, uint16_t, HalfReluBackward<0x7C00>>);
  t[ATLED_BFLOAT16] = ATLED_PICK(binary<uint16_t, uint16_t, uint16_t, HalfReluBackward<0x7F80>>);
  return t.binary<ReluBackward>(Floats{});
}();

void relu_backward(atled_frame* frame) {
  const int dtype = float_dtype(promoted(frame));
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  e.run(relu_backward_loops[dtype]);
}

const LoopTable copysign_loops = [] {
  LoopTable t;
  t[ATLED_FLOAT16] = t[ATLED_BFLOAT16] = ATLED_PICK(binary<uint16_t, uint16_t, uint16_t, HalfCopySign>);
  return t.binary<CopySign>(Floats{});
}();

const LoopTable heaviside_loops = [] {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(binary<bool, uint8_t, uint8_t, LogicalOr>);
  return t.binary<Heaviside>(Integers{}).binary<Heaviside>(Floats{});
}();
const LoopTable fmax_loops = [] {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(binary<bool, uint8_t, uint8_t, LogicalOr>);
  return t.binary<Maximum>(Integers{}).binary<Fmax>(Floats{}).half_bits<HalfFmax>();
}();
const LoopTable fmin_loops = [] {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(binary<bool, uint8_t, uint8_t, LogicalAnd>);
  return t.binary<Minimum>(Integers{}).binary<Fmin>(Floats{}).half_bits<HalfFmin>();
}();
// What nan_to_num leaves alone: numbers that are never NaN or infinite.
const LoopTable kept_loops = [] {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(unary<bool, uint8_t, Truth>);
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
  if (input->dtype < ATLED_FLOAT16) return e.run(kept_loops[dtype]);
  auto run = [&](auto tag, atled_loop real, atled_loop complex) {
    using T = typename decltype(tag)::type;
    NanToNum<T> f{static_cast<T>(nan), static_cast<T>(high), static_cast<T>(low)};
    e.run(is_complex(dtype) ? complex : real, &f);
  };
  if (real_dtype(dtype) == ATLED_FLOAT32) {
    using C = std::complex<float>;
    run(Tag<float>{}, ATLED_PICK(unary<float, float, NanToNum<float>>), ATLED_PICK(unary<C, C, NanToNum<float>>));
  } else {
    using C = std::complex<double>;
    run(Tag<double>{}, ATLED_PICK(unary<double, double, NanToNum<double>>), ATLED_PICK(unary<C, C, NanToNum<double>>));
  }
}

void add_selection() {
  fused_kernel("core::where", kernel<where>);
  fused_kernel("core::clamp", kernel<clamp>);
  fused_kernel("core::masked_fill", kernel<masked_fill>);
  cpu_kernel("core::relu", run_same, relu_loops);
  fused_kernel("core::relu_backward", kernel<relu_backward>);
  cpu_kernel("core::copysign", run_float, copysign_loops);
  cpu_kernel("core::clamp_min", run_same, raise_loops);
  cpu_kernel("core::clamp_max", run_same, lower_loops);
  cpu_kernel("core::fmax", run_same, fmax_loops);
  cpu_kernel("core::fmin", run_same, fmin_loops);
  cpu_kernel("core::heaviside", run_same, heaviside_loops);
  fused_kernel("core::nan_to_num", kernel<nan_to_num>);
}
ATLED_KERNELS(add_selection);

}  // namespace

}  // namespace atled::core
