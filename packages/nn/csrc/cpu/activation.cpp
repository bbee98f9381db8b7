#include "functors/activation.h"

#include <cstring>

#include "cpu/kernel.h"
#include "plugin.h"

namespace atled::nn {
namespace {

template <class T, class F>
void run(atled_frame* frame, bool backward) {
  F f(frame, backward ? 2 : 1);
  const int dtype = dtype_of<T>;
  const atled_loop loop = backward ? ATLED_PICK(slopes<T, F>) : ATLED_PICK(values<T, F>);
  check(kernel_group->elementwise(frame, dtype, dtype, loop, &f));
}

template <template <class> class F, bool backward>
void activation(atled_frame* frame) {
  if (compute_dtype(arg_tensor(frame, 0)->dtype) == ATLED_FLOAT64)
    run<double, F<double>>(frame, backward);
  else
    run<float, F<float>>(frame, backward);
}

void prelu(atled_frame* frame) {
  const int dtype = compute_dtype(arg_tensor(frame, 0)->dtype);
  const atled_loop loop = dtype == ATLED_FLOAT64 ? ATLED_PICK(prelu_values<double>) : ATLED_PICK(prelu_values<float>);
  // Weights in half precision are converted once, not in each row that they broadcast to.
  const Tensor weight = converted(arg_tensor(frame, 1), dtype);
  atled_value args[] = {frame->args[0], value(weight)};
  atled_frame wide = *frame;
  wide.args = args;
  check(kernel_group->elementwise(&wide, dtype, dtype, loop, nullptr));
}

template <bool backward>
void gelu(atled_frame* frame) {
  if (strcmp(frame->args[frame->op->nargs - 1].u.str, "tanh") == 0)
    activation<GeluTanh, backward>(frame);
  else
    activation<Gelu, backward>(frame);
}

}  // namespace

void add_activation() {
  constexpr int kCpu = ATLED_DEVICE_CPU;
  add_kernel("nn::elu", kCpu, kernel<activation<Elu, false>>);
  add_kernel("nn::elu_backward", kCpu, kernel<activation<Elu, true>>);
  add_kernel("nn::gelu", kCpu, kernel<gelu<false>>);
  add_kernel("nn::gelu_backward", kCpu, kernel<gelu<true>>);
  add_kernel("nn::hardshrink", kCpu, kernel<activation<Hardshrink, false>>);
  add_kernel("nn::hardshrink_backward", kCpu, kernel<activation<Hardshrink, true>>);
  add_kernel("nn::hardsigmoid", kCpu, kernel<activation<Hardsigmoid, false>>);
  add_kernel("nn::hardsigmoid_backward", kCpu, kernel<activation<Hardsigmoid, true>>);
  add_kernel("nn::hardswish", kCpu, kernel<activation<Hardswish, false>>);
  add_kernel("nn::hardswish_backward", kCpu, kernel<activation<Hardswish, true>>);
  add_kernel("nn::hardtanh", kCpu, kernel<activation<Hardtanh, false>>);
  add_kernel("nn::hardtanh_backward", kCpu, kernel<activation<Hardtanh, true>>);
  add_kernel("nn::leaky_relu", kCpu, kernel<activation<LeakyRelu, false>>);
  add_kernel("nn::leaky_relu_backward", kCpu, kernel<activation<LeakyRelu, true>>);
  add_kernel("nn::logsigmoid", kCpu, kernel<activation<Logsigmoid, false>>);
  add_kernel("nn::logsigmoid_backward", kCpu, kernel<activation<Logsigmoid, true>>);
  add_kernel("nn::mish", kCpu, kernel<activation<Mish, false>>);
  add_kernel("nn::mish_backward", kCpu, kernel<activation<Mish, true>>);
  add_kernel("nn::prelu", kCpu, kernel<prelu>);
  add_kernel("nn::silu", kCpu, kernel<activation<Silu, false>>);
  add_kernel("nn::silu_backward", kCpu, kernel<activation<Silu, true>>);
  add_kernel("nn::softplus", kCpu, kernel<activation<Softplus, false>>);
  add_kernel("nn::softplus_backward", kCpu, kernel<activation<Softplus, true>>);
  add_kernel("nn::softshrink", kCpu, kernel<activation<Softshrink, false>>);
  add_kernel("nn::softshrink_backward", kCpu, kernel<activation<Softshrink, true>>);
}

}  // namespace atled::nn
