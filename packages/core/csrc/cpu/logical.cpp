#include "functors/logical.h"

#include "cpu/kernels.h"

namespace atled::core {

namespace {

// Every dtype is read as bool.
template <class F, int kOperands>
void truth(atled_frame* frame) {
  Elementwise e;
  e.output(out_tensor(frame), ATLED_BOOL);
  for (int i = 0; i < kOperands; ++i) e.operand(frame->args[i], ATLED_BOOL);
  if constexpr (kOperands == 1) {
    e.run(ATLED_PICK(unary<bool, uint8_t, F>));
  } else {
    e.run(ATLED_PICK(binary<bool, uint8_t, uint8_t, F>));
  }
}

template <class F, class OnBool>
LoopTable bits() {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(binary<bool, uint8_t, uint8_t, OnBool>);
  return t.binary<F>(Unsigned{}).share_signed();
}

const LoopTable and_loops = bits<BitAnd, LogicalAnd>();
const LoopTable or_loops = bits<BitOr, LogicalOr>();
const LoopTable xor_loops = bits<BitXor, LogicalXor>();
const LoopTable not_loops = [] {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(unary<bool, uint8_t, LogicalNot>);
  return t.unary<BitNot>(Unsigned{}).share_signed();
}();
const LoopTable left_loops = LoopTable().binary<ShiftLeft>(Unsigned{}).share_signed();
const LoopTable right_loops = LoopTable().binary<ShiftRight>(Integers{});

void add_logical() {
  fused_kernel("core::logical_and", kernel<truth<LogicalAnd, 2>>);
  fused_kernel("core::logical_or", kernel<truth<LogicalOr, 2>>);
  fused_kernel("core::logical_xor", kernel<truth<LogicalXor, 2>>);
  fused_kernel("core::logical_not", kernel<truth<LogicalNot, 1>>);
  cpu_kernel("core::bitwise_and", run_same, and_loops);
  cpu_kernel("core::bitwise_or", run_same, or_loops);
  cpu_kernel("core::bitwise_xor", run_same, xor_loops);
  cpu_kernel("core::bitwise_not", run_same, not_loops);
  cpu_kernel("core::bitwise_left_shift", run_same, left_loops);
  cpu_kernel("core::bitwise_right_shift", run_same, right_loops);
}
ATLED_KERNELS(add_logical);

}  // namespace

}  // namespace atled::core
