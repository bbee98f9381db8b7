#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "dispatch/device.h"
#include "ops/layout.h"

namespace atled::core {

namespace {

const Op to_copy_op{"core::to_copy"};
const Op copy_op{"core::copy_"};

// Between devices, for what laid_out_alike is true of.
void copy_across(atled_tensor* to, atled_tensor* from) {
  check(device_copy(to->dl.data, to->dl.device, from->dl.data, from->dl.device,
                    static_cast<size_t>(numel(from)) * itemsize(from->dtype)));
}

// t's elements on another device, row-major.
Tensor moved(atled_tensor* t, DLDevice device) {
  const Tensor source = is_contiguous(t) ? Tensor::borrow(t) : contiguous_copy(t);
  Tensor result = Tensor::empty(t->dtype, t->dl.ndim, t->dl.shape, device);
  copy_across(result, source);
  return result;
}

void copy(atled_frame* frame) {
  atled_tensor *input = arg_tensor(frame, 0), *other = arg_tensor(frame, 1);
  expect_broadcastable(other, input);
  Tensor source = Tensor::borrow(other);
  if (!same_device(other->dl.device, input->dl.device)) {
    const NonBlocking background(arg_bool(frame, 2));
    if (laid_out_alike(input, other)) return copy_across(input, other);
    source = moved(other, input->dl.device);
  }
  if (may_overlap(input, source)) {
    if (same_elements(input, source)) return;
    source = contiguous_copy(source);
  }
  assign(input, source);
}

void fill(atled_frame* frame) {
  const atled_value& v = frame->args[1];
  atled_tensor* input = arg_tensor(frame, 0);
  if (is_scalar(v)) return assign(input, v);
  if (v.u.tensor->dl.ndim != 0)
    fail(ATLED_E_SHAPE, "expected value to be a number or a 0-d tensor, got shape %s", shape_text(v.u.tensor).c_str());
  if (may_overlap(input, v.u.tensor)) return assign(input, contiguous_copy(v.u.tensor));
  if (!same_device(v.u.tensor->dl.device, input->dl.device)) return assign(input, moved(v.u.tensor, input->dl.device));
  assign(input, v.u.tensor);
}

void zero(atled_frame* frame) { assign_zero(arg_tensor(frame, 0)); }

void clone(atled_frame* frame) { assign(out_tensor(frame), arg_tensor(frame, 0)); }

// On any device: what crosses devices goes as bytes, what changes dtype is converted where it lies.
void to_copy(atled_frame* frame) {
  atled_tensor *input = arg_tensor(frame, 0), *out = out_tensor(frame);
  if (same_device(input->dl.device, out->dl.device)) {
    if (out->dl.device.device_type == kDLCPU) return assign(out, input);
    return copy_op.inplace(out, input);
  }
  const Tensor source = input->dtype == out->dtype ? Tensor::borrow(input) : to_copy_op(input, dtype_value(out->dtype));
  if (laid_out_alike(out, source)) return copy_across(out, source);
  const Tensor arrived = moved(source, out->dl.device);
  if (out->dl.device.device_type == kDLCPU) return assign(out, arrived);
  copy_op.inplace(out, arrived);
}

void contiguous_kernel(atled_frame* frame) {
  atled_tensor* input = arg_tensor(frame, 0);
  set_out(frame, 0, is_contiguous(input) ? Tensor::borrow(input) : contiguous_copy(input));
}

Tensor converted(atled_tensor* input, const atled_value& dtype, const atled_value& device, bool copy) {
  const bool changes = (!is_none(dtype) && dtype.u.i != input->dtype) ||
                       (!is_none(device) && !same_device(device.u.device, input->dl.device));
  return changes || copy ? to_copy_op(input, dtype, device) : Tensor::borrow(input);
}

void to(atled_frame* frame) {
  set_out(frame, 0, converted(arg_tensor(frame, 0), frame->args[1], frame->args[2], arg_bool(frame, 3)));
}

void astype(atled_frame* frame) {
  const int from = arg_tensor(frame, 0)->dtype, to = static_cast<int>(frame->args[1].u.i);
  if (is_complex(from) && !is_complex(to) && to != ATLED_BOOL)
    fail(ATLED_E_DTYPE, "expected a complex dtype for complex numbers, got %s; take the real part first: real(input)",
         dtype_name(to));
  set_out(frame, 0, converted(arg_tensor(frame, 0), frame->args[1], frame->args[3], arg_bool(frame, 2)));
}

void add_copy() {
  cpu_kernel("core::copy_", kernel<copy>);
  cpu_kernel("core::fill_", kernel<fill>);
  cpu_kernel("core::zero_", kernel<zero>);
  fused_kernel("core::clone", kernel<clone>);
  add_kernel("core::to_copy", ATLED_DEVICE_ANY, kernel<to_copy>);
  may_fuse("core::to_copy");
  add_kernel("core::contiguous", ATLED_DEVICE_ANY, kernel<contiguous_kernel>);
  add_kernel("core::to", ATLED_DEVICE_ANY, kernel<to>);
  add_kernel("core::astype", ATLED_DEVICE_ANY, kernel<astype>);
}
ATLED_KERNELS(add_copy);

}  // namespace

}  // namespace atled::core
