#include "cuda/elementwise.cuh"
#include "functors/logical.h"

namespace atled::core::cuda {

namespace {

// Every dtype is read as bool.
template <class F, int kOperands>
void truth(atled_frame* frame) {
  Elementwise e;
  e.output(out_tensor(frame), ATLED_BOOL);
  for (int i = 0; i < kOperands; ++i) e.operand(frame->args[i], ATLED_BOOL);
  if constexpr (kOperands == 1)
    e.run<bool, bool>(F{});
  else
    e.run<bool, bool, bool>(F{});
}

template <class F, class OnBool>
LaunchTable bits() {
  LaunchTable t;
  t.set<OnBool, bool, bool, bool>(ATLED_BOOL);
  return t.template binary<F>(Unsigned{}).share_signed();
}

const LaunchTable and_launches = bits<BitAnd, LogicalAnd>();
const LaunchTable or_launches = bits<BitOr, LogicalOr>();
const LaunchTable xor_launches = bits<BitXor, LogicalXor>();
const LaunchTable not_launches = [] {
  LaunchTable t;
  t.set<LogicalNot, bool, bool>(ATLED_BOOL);
  return t.unary<BitNot>(Unsigned{}).share_signed();
}();
const LaunchTable left_launches = LaunchTable().binary<ShiftLeft>(Unsigned{}).share_signed();
const LaunchTable right_launches = LaunchTable().binary<ShiftRight>(Integers{});

void add_logical() {
  cuda_kernel("core::logical_and", kernel<truth<LogicalAnd, 2>>);
  cuda_kernel("core::logical_or", kernel<truth<LogicalOr, 2>>);
  cuda_kernel("core::logical_xor", kernel<truth<LogicalXor, 2>>);
  cuda_kernel("core::logical_not", kernel<truth<LogicalNot, 1>>);
  cuda_kernel("core::bitwise_and", run_same, &and_launches);
  cuda_kernel("core::bitwise_or", run_same, &or_launches);
  cuda_kernel("core::bitwise_xor", run_same, &xor_launches);
  cuda_kernel("core::bitwise_not", run_same, &not_launches);
  cuda_kernel("core::bitwise_left_shift", run_same, &left_launches);
  cuda_kernel("core::bitwise_right_shift", run_same, &right_launches);
}
ATLED_CUDA_KERNELS(add_logical);

}  // namespace

}  // namespace atled::core::cuda
