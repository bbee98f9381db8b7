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
  check(kernel_group->elementwise_of(frame, dtype, dtype, loop, &f, sizeof f));
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

void add_fused(const char* op, atled_kernel run) {
  add_kernel(op, ATLED_DEVICE_CPU, run);
  check(kernel_group->may_fuse(Op(op).get()));
}

}  // namespace

void add_activation() {
  add_fused("nn::elu", kernel<activation<Elu, false>>);
  add_fused("nn::elu_backward", kernel<activation<Elu, true>>);
  add_fused("nn::gelu", kernel<gelu<false>>);
  add_fused("nn::gelu_backward", kernel<gelu<true>>);
  add_fused("nn::hardshrink", kernel<activation<Hardshrink, false>>);
  add_fused("nn::hardshrink_backward", kernel<activation<Hardshrink, true>>);
  add_fused("nn::hardsigmoid", kernel<activation<Hardsigmoid, false>>);
  add_fused("nn::hardsigmoid_backward", kernel<activation<Hardsigmoid, true>>);
  add_fused("nn::hardswish", kernel<activation<Hardswish, false>>);
  add_fused("nn::hardswish_backward", kernel<activation<Hardswish, true>>);
  add_fused("nn::hardtanh", kernel<activation<Hardtanh, false>>);
  add_fused("nn::hardtanh_backward", kernel<activation<Hardtanh, true>>);
  add_fused("nn::leaky_relu", kernel<activation<LeakyRelu, false>>);
  add_fused("nn::leaky_relu_backward", kernel<activation<LeakyRelu, true>>);
  add_fused("nn::logsigmoid", kernel<activation<Logsigmoid, false>>);
  add_fused("nn::logsigmoid_backward", kernel<activation<Logsigmoid, true>>);
  add_fused("nn::mish", kernel<activation<Mish, false>>);
  add_fused("nn::mish_backward", kernel<activation<Mish, true>>);
  add_kernel("nn::prelu", ATLED_DEVICE_CPU, kernel<prelu>);
  add_fused("nn::silu", kernel<activation<Silu, false>>);
  add_fused("nn::silu_backward", kernel<activation<Silu, true>>);
  add_fused("nn::softplus", kernel<activation<Softplus, false>>);
  add_fused("nn::softplus_backward", kernel<activation<Softplus, true>>);
  add_fused("nn::softshrink", kernel<activation<Softshrink, false>>);
  add_fused("nn::softshrink_backward", kernel<activation<Softshrink, true>>);
}

}  // namespace atled::nn
