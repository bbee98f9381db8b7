#include "cpu/kernel.h"

namespace atled::nn {

namespace {

constexpr int kMostValues = 16;

bool is_half(const atled_value& v) {
  return v.tag == ATLED_TENSOR && (v.u.tensor->dtype == ATLED_FLOAT16 || v.u.tensor->dtype == ATLED_BFLOAT16);
}

}  // namespace

void in_wide_floats(atled_frame* frame, void (*run)(atled_frame*)) {
  static const Op copy{"core::copy_"};
  const int nargs = frame->op->nargs, nouts = frame->op->nouts;
  if (nargs > kMostValues || nouts > kMostValues) fail(ATLED_E_RUNTIME, "expected at most %d values", kMostValues);
  atled_value args[kMostValues], outs[kMostValues];
  Tensor wide_args[kMostValues], wide_outs[kMostValues];
  for (int i = 0; i < nargs; ++i) {
    args[i] = frame->args[i];
    if (!is_half(args[i])) continue;
    wide_args[i] = converted(args[i].u.tensor, ATLED_FLOAT32);
    args[i] = value(wide_args[i]);
  }
  for (int i = 0; i < nouts; ++i) {
    outs[i] = frame->outs[i];
    if (!is_half(outs[i])) continue;
    const DLTensor& out = outs[i].u.tensor->dl;
    wide_outs[i] = Tensor::empty(ATLED_FLOAT32, out.ndim, out.shape, out.device);
    outs[i] = value(wide_outs[i]);
  }
  atled_frame wide = *frame;
  wide.args = args;
  wide.outs = outs;
  run(&wide);
  for (int i = 0; i < nouts; ++i)
    if (wide_outs[i]) copy(frame->outs[i].u.tensor, wide_outs[i]);
}

}  // namespace atled::nn
