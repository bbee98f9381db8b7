// The CPU kernels of convolution: oneDNN's where it has one, else in float32 (half precision) or our own (float64).
#include <algorithm>
#include <type_traits>

#include "cpu/convolution.h"
#include "cpu/kernel.h"
#include "onednn/convolution.h"

namespace atled::nn {
namespace {

// Runs one of the three convolutions. `a` and `b` are its inputs, made contiguous; `fast` and `own` compute from
// them.
template <class Fast, class Own>
void run(atled_tensor* a, atled_tensor* b, atled_tensor* bias, atled_tensor* out, Fast&& fast, Own&& own) {
  static const Op copy{"core::copy_"};
  if (numel(out) == 0) return;
  if (numel(a) == 0 || numel(b) == 0) {  // sums over nothing
    static const Op fill{"core::fill_"}, reshape{"core::reshape"};
    const int64_t shape[4] = {out->dl.shape[1], 1, 1, 1};
    if (bias)
      copy(out, reshape(bias, ints_value(shape, static_cast<size_t>(out->dl.ndim - 1))));
    else
      fill(out, 0);
    return;
  }
  const auto attempt = [&](int dtype, atled_tensor* target) {
    const Tensor x = converted(a, dtype), y = converted(b, dtype), z = converted(bias, dtype);
    return fast(dtype, x->dl.data, y->dl.data, z ? z->dl.data : nullptr, target->dl.data);
  };
  if (attempt(out->dtype, out)) return;
  const int wide = compute_dtype(out->dtype);
  const Tensor target = wide == out->dtype ? Tensor::borrow(out) : Tensor::empty(wide, out->dl.ndim, out->dl.shape);
  if (wide == out->dtype || !attempt(wide, target)) {
    const Tensor x = converted(a, wide), y = converted(b, wide), z = converted(bias, wide);
    if (wide == ATLED_FLOAT64)
      own(x, y, data_or_null<double>(z), data<double>(target));
    else
      own(x, y, data_or_null<float>(z), data<float>(target));
  }
  if (target.get() != out) copy(out, target);
}

template <int dims>
void forward(atled_frame* f) {
  atled_tensor *input = arg_tensor(f, 0), *weight = arg_tensor(f, 1);
  const Convolution s = convolution(dims, shape_of(input), shape_of(weight), f, 3);
  run(
      input, weight, arg_tensor(f, 2), out_tensor(f),
      [&](int dtype, const void* x, const void* w, const void* b, void* y) {
        return onednn::convolution(s, dtype, x, w, b, y);
      },
      [&](const Tensor& x, const Tensor& w, const auto* b, auto* y) {
        using T = std::decay_t<decltype(*y)>;
        if (as_products(s))
          product_convolution<T>(s, x, w, b, y);
        else
          direct_convolution<T>(s, data<T>(x), data<T>(w), b, y);
      });
}

template <int dims>
void backward_input(atled_frame* f) {
  atled_tensor *grad = arg_tensor(f, 0), *weight = arg_tensor(f, 1);
  const Convolution s = convolution(dims, arg_shape(f, 2), shape_of(weight), f, 3);
  run(
      grad, weight, nullptr, out_tensor(f),
      [&](int dtype, const void* g, const void* w, const void*, void* y) {
        return onednn::convolution_input(s, dtype, g, w, y);
      },
      [&](const Tensor& g, const Tensor& w, const auto*, auto* y) {
        using T = std::decay_t<decltype(*y)>;
        if (as_products(s))
          product_convolution_input<T>(s, g, w, y);
        else
          direct_convolution_input<T>(s, data<T>(g), data<T>(w), y);
      });
}

template <int dims>
void backward_weight(atled_frame* f) {
  atled_tensor *grad = arg_tensor(f, 0), *input = arg_tensor(f, 1);
  const Convolution s = convolution(dims, shape_of(input), arg_shape(f, 2), f, 3);
  run(
      grad, input, nullptr, out_tensor(f),
      [&](int dtype, const void* g, const void* x, const void*, void* y) {
        return onednn::convolution_weight(s, dtype, g, x, y);
      },
      [&](const Tensor& g, const Tensor& x, const auto*, auto* y) {
        using T = std::decay_t<decltype(*y)>;
        if (as_products(s))
          product_convolution_weight<T>(s, g, x, y);
        else
          direct_convolution_weight<T>(s, data<T>(g), data<T>(x), y);
      });
}

void init() {
  const auto add = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  add("nn::conv2d", kernel<forward<2>>);
  add("nn::conv2d_backward_input", kernel<backward_input<2>>);
  add("nn::conv2d_backward_weight", kernel<backward_weight<2>>);
  add("nn::conv3d", kernel<forward<3>>);
  add("nn::conv3d_backward_input", kernel<backward_input<3>>);
  add("nn::conv3d_backward_weight", kernel<backward_weight<3>>);
}

}  // namespace
}  // namespace atled::nn

ATLED_PLUGIN("atled-nn", ATLED_NN_VERSION, atled::nn::init)
