#include "functors/selection.h"

#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "functors/arithmetic.h"

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

const LoopTable clamp_loops = LoopTable().ternary<Clamp>(Integers{}).ternary<Clamp>(Floats{});
const LoopTable raise_loops = LoopTable().binary<Maximum>(Integers{}).binary<Maximum>(Floats{});
const LoopTable lower_loops = LoopTable().binary<Minimum>(Integers{}).binary<Minimum>(Floats{});

void clamp(atled_frame* frame) {
  const int promoted_dtype = promoted(frame, 0b111), dtype = compute_dtype(promoted_dtype);
  const LoopTable& table = arg_is_none(frame, 1) ? lower_loops : arg_is_none(frame, 2) ? raise_loops : clamp_loops;
  Elementwise e;
  e.output(out_tensor(frame), dtype);
  for (int i = 0; i < 3; ++i) e.operand(frame->args[i], dtype);
  e.run(find_loop(table, promoted_dtype));
}

const LoopTable relu_loops = LoopTable().unary<Relu>(Integers{}).unary<Relu>(Floats{});
const LoopTable copysign_loops = LoopTable().binary<CopySign>(Floats{});

void add_selection() {
  cpu_kernel("core::where", kernel<where>);
  cpu_kernel("core::clamp", kernel<clamp>);
  cpu_kernel("core::masked_fill", kernel<masked_fill>);
  cpu_kernel("core::relu", run_same, relu_loops);
  cpu_kernel("core::copysign", run_float, copysign_loops);
}
ATLED_KERNELS(add_selection);

}  // namespace

}  // namespace atled::core
