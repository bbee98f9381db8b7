#include <cstring>

#include "cuda/elementwise.cuh"

namespace atled::core::cuda {

namespace {

const Op clone_op{"core::clone"};
const Op to_op{"core::to_copy"};

atled_value text_value(const char* text) {
  atled_value v = none();
  v.u.str = text;
  v.n = static_cast<uint32_t>(std::strlen(text));
  v.tag = ATLED_STRING;
  return v;
}

Tensor contiguous_copy(atled_tensor* t) { return clone_op(t, text_value("contiguous")); }

bool same_device(DLDevice a, DLDevice b) { return a.device_type == b.device_type && a.device_id == b.device_id; }

bool same_place(const atled_tensor* a, const atled_tensor* b) {
  const size_t bytes = sizeof(int64_t) * static_cast<size_t>(a->dl.ndim);
  return a->dl.data == b->dl.data && a->dtype == b->dtype && a->dl.ndim == b->dl.ndim &&
         std::memcmp(a->dl.shape, b->dl.shape, bytes) == 0 && std::memcmp(a->dl.strides, b->dl.strides, bytes) == 0;
}

// other, on t's device and apart from t's memory.
Tensor apart(atled_tensor* t, atled_tensor* other) {
  if (!same_device(other->dl.device, t->dl.device)) return to_op(other, none(), device_value(t->dl.device));
  return other->version == t->version ? contiguous_copy(other) : Tensor::borrow(other);
}

void copy(atled_frame* frame) {
  atled_tensor *input = arg_tensor(frame, 0), *other = arg_tensor(frame, 1);
  int64_t shape[ATLED_MAX_NDIM];
  int ndim = input->dl.ndim;
  std::copy(input->dl.shape, input->dl.shape + ndim, shape);
  const bool fits = other->dl.ndim <= ndim && broadcast_into(shape, ndim, other->dl.shape, other->dl.ndim) &&
                    std::equal(shape, shape + ndim, input->dl.shape);
  if (!fits)
    fail(ATLED_E_SHAPE, "expected other to broadcast to %s, got %s", shape_text(input).c_str(),
         shape_text(other).c_str());
  if (!same_place(input, other)) assign(input, apart(input, other).get());
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
