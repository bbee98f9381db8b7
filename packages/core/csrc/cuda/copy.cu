#include "cuda/elementwise.cuh"
#include "ops/layout.h"

namespace atled::core::cuda {

namespace {

const Op to_op{"core::to_copy"};

// other, on t's device and apart from t's memory.
Tensor apart(atled_tensor* t, atled_tensor* other) {
  if (!same_device(other->dl.device, t->dl.device)) return to_op(other, none(), device_value(t->dl.device));
  return other->version == t->version ? contiguous_copy(other) : Tensor::borrow(other);
}

void copy(atled_frame* frame) {
  atled_tensor *input = arg_tensor(frame, 0), *other = arg_tensor(frame, 1);
  expect_broadcastable(other, input);
  if (!same_device(other->dl.device, input->dl.device) && laid_out_alike(input, other) && numel(other) > 0)
    return copy_bytes(input->dl.data, input->dl.device, other->dl.data, other->dl.device,
                      static_cast<size_t>(numel(other)) * itemsize(other->dtype), nullptr, !arg_bool(frame, 2));
  if (!same_elements(input, other)) assign(input, apart(input, other).get());
}

void fill(atled_frame* frame) {
  const atled_value& v = frame->args[1];
  atled_tensor* input = arg_tensor(frame, 0);
  if (is_scalar(v)) return assign(input, v);
  if (v.u.tensor->dl.ndim != 0)
    fail(ATLED_E_SHAPE, "expected value to be a number or a 0-d tensor, got shape %s", shape_text(v.u.tensor).c_str());
  assign(input, apart(input, v.u.tensor).get());
}

void zero(atled_frame* frame) { assign(arg_tensor(frame, 0), value(0)); }
void clone(atled_frame* frame) { assign(out_tensor(frame), arg_tensor(frame, 0)); }

void add_copy() {
  cuda_kernel("core::copy_", kernel<copy>);
  cuda_kernel("core::fill_", kernel<fill>);
  cuda_kernel("core::zero_", kernel<zero>);
  cuda_kernel("core::clone", kernel<clone>);
}
ATLED_CUDA_KERNELS(add_copy);

}  // namespace

}  // namespace atled::core::cuda
