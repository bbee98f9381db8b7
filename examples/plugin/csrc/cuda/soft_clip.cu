// soft_clip for CUDA.
#include <atled/cuda.hpp>

namespace {

using namespace atled;
using namespace atled::cuda;

template <class T>
struct SoftClip {
  T limit;
  __device__ T operator()(T x) const { return x / (1 + (x < 0 ? -x : x) / limit); }
};

// The output is there already; what is no contiguous tensor is copied.
void soft_clip(atled_frame* frame) {
  static const Op contiguous{"core::contiguous"}, copy{"core::copy_"};
  atled_tensor* out = out_tensor(frame);
  const Tensor input = contiguous(arg_tensor(frame, 0));
  const Tensor result = is_contiguous(out) ? Tensor::borrow(out) : Tensor::empty_like(out);
  const double limit = arg_double(frame, 1);

  const int device = out->dl.device.device_id;
  DeviceGuard guard(device);
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (is_floating(dtype_of<T>)) {
      using C = std::conditional_t<std::is_same_v<T, double>, double, float>;  // of float16 and bfloat16, too
      map(current_stream(device), SoftClip<C>{static_cast<C>(limit)}, numel(out), data<T>(result), data<T>(input));
    }
  });
  if (result != out) copy(out, result);
}

void add_soft_clip() { cuda_kernel("sample::soft_clip", kernel<soft_clip>); }
ATLED_CUDA_KERNELS(add_soft_clip);

}  // namespace

ATLED_CUDA_PLUGIN("atled-sample", "0.1.0")
