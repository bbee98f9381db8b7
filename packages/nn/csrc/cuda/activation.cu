// Activations and their slopes, element by element.
#include <cstring>

#include "cuda/kernel.cuh"
#include "functors/activation.h"

namespace atled::nn {

namespace {

template <class T, class F>
struct Value {
  F f;
  __device__ T operator()(T x) const { return T(f.value(static_cast<Wide<T>>(x))); }
};
template <class T, class F>
struct TimesSlope {
  F f;
  __device__ T operator()(T g, T x) const { return T(static_cast<Wide<T>>(g) * f.slope(static_cast<Wide<T>>(x))); }
};

// Calls f with a tensor like `out` that is contiguous and of the inputs' dtype.
template <class F>
void into(atled_tensor* out, int dtype, F&& f) {
  static const Op copy{"core::copy_"};
  if (is_contiguous(out) && out->dtype == dtype) return f(out);
  const Tensor whole = Tensor::empty(dtype, out->dl.ndim, out->dl.shape, out->dl.device);
  f(whole.get());
  copy(out, whole);
}

template <template <class> class F, bool backward>
void activation(atled_frame* frame) {
  const Tensor first = contiguous(arg_tensor(frame, 0)),
               second = backward ? contiguous(arg_tensor(frame, 1)) : Tensor();
  into(out_tensor(frame), first->dtype, [&](atled_tensor* out) {
    const On on(out);
    visit_float(first->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const F<Wide<T>> f(frame, backward ? 2 : 1);
      if constexpr (backward)
        map(on.stream(), TimesSlope<T, F<Wide<T>>>{f}, numel(out), data<T>(out), data<const T>(first),
            data<const T>(second));
      else
        map(on.stream(), Value<T, F<Wide<T>>>{f}, numel(out), data<T>(out), data<const T>(first));
    });
  });
}

template <bool backward>
void gelu(atled_frame* frame) {
  if (strcmp(frame->args[frame->op->nargs - 1].u.str, "tanh") == 0)
    activation<GeluTanh, backward>(frame);
  else
    activation<Gelu, backward>(frame);
}

void add_activation() {
  add_cuda_kernel<activation<Elu, false>>("nn::elu");
  add_cuda_kernel<activation<Elu, true>>("nn::elu_backward");
  add_cuda_kernel<gelu<false>>("nn::gelu");
  add_cuda_kernel<gelu<true>>("nn::gelu_backward");
  add_cuda_kernel<activation<Hardshrink, false>>("nn::hardshrink");
  add_cuda_kernel<activation<Hardshrink, true>>("nn::hardshrink_backward");
  add_cuda_kernel<activation<Hardsigmoid, false>>("nn::hardsigmoid");
  add_cuda_kernel<activation<Hardsigmoid, true>>("nn::hardsigmoid_backward");
  add_cuda_kernel<activation<Hardswish, false>>("nn::hardswish");
  add_cuda_kernel<activation<Hardswish, true>>("nn::hardswish_backward");
  add_cuda_kernel<activation<Hardtanh, false>>("nn::hardtanh");
  add_cuda_kernel<activation<Hardtanh, true>>("nn::hardtanh_backward");
  add_cuda_kernel<activation<LeakyRelu, false>>("nn::leaky_relu");
  add_cuda_kernel<activation<LeakyRelu, true>>("nn::leaky_relu_backward");
  add_cuda_kernel<activation<Logsigmoid, false>>("nn::logsigmoid");
  add_cuda_kernel<activation<Logsigmoid, true>>("nn::logsigmoid_backward");
  add_cuda_kernel<activation<Mish, false>>("nn::mish");
  add_cuda_kernel<activation<Mish, true>>("nn::mish_backward");
  add_cuda_kernel<activation<Silu, false>>("nn::silu");
  add_cuda_kernel<activation<Silu, true>>("nn::silu_backward");
  add_cuda_kernel<activation<Softplus, false>>("nn::softplus");
  add_cuda_kernel<activation<Softplus, true>>("nn::softplus_backward");
  add_cuda_kernel<activation<Softshrink, false>>("nn::softshrink");
  add_cuda_kernel<activation<Softshrink, true>>("nn::softshrink_backward");
}
ATLED_CUDA_KERNELS(add_activation);

}  // namespace

}  // namespace atled::nn
