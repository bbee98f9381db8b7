#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// On a GPU, images whose channels lie last stay so.
void follow_layout(const atled_tensor* images, atled_spec& out) {
  if (images->dl.device.device_type == kDLCUDA && is_channels_last(images)) set_channels_last(out);
}

void forward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *weight = arg_tensor(f, 1), *bias = arg_tensor(f, 2);
  expect_float(input, "input");
  expect_dtype_of(weight, "weight", input, "input");
  expect_dtype_of(bias, "bias", input, "input");
  const Convolution s = convolution(shape_of(input), shape_of(weight), f, 3);
  expect_vector(bias, "bias", s.k);
  set_spec(outs[0], input->dtype, {s.n, s.k, s.oh, s.ow});
  follow_layout(input, outs[0]);
}

void expect_grad(const atled_tensor* grad, const Convolution& s) {
  const int64_t shape[4] = {s.n, s.k, s.oh, s.ow};
  expect_shape(grad, "grad", 4, shape);
}

void backward_input_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(f, 0), *weight = arg_tensor(f, 1);
  expect_float(grad, "grad");
  expect_dtype_of(weight, "weight", grad, "grad");
  const Shape input = arg_shape(f, 2);
  expect_grad(grad, convolution(input, shape_of(weight), f, 3));
  set_spec(outs[0], grad->dtype, input.ndim, input.dims);
  follow_layout(grad, outs[0]);
}

void backward_weight_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(f, 0), *input = arg_tensor(f, 1);
  expect_float(grad, "grad");
  expect_dtype_of(input, "input", grad, "grad");
  const Shape weight = arg_shape(f, 2);
  expect_grad(grad, convolution(shape_of(input), weight, f, 3));
  set_spec(outs[0], grad->dtype, weight.ndim, weight.dims);
}

}  // namespace

void define_convolution() {
  define(
      {"nn::conv2d(Tensor input, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] padding=0, int[2] "
       "dilation=1, "
       "int groups=1) -> Tensor",
       "Cross-correlation of input (N, C, H, W) with weight (K, C / groups, kh, kw), plus a bias per channel.",
       shape<forward_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::conv2d_backward_input(Tensor grad, Tensor weight, int[] input_shape, int[2] stride=1, int[2] padding=0, "
       "int[2] dilation=1, int groups=1) -> Tensor",
       "The gradient of conv2d with respect to its input.", shape<backward_input_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::conv2d_backward_weight(Tensor grad, Tensor input, int[] weight_shape, int[2] stride=1, int[2] padding=0, "
       "int[2] dilation=1, int groups=1) -> Tensor",
       "The gradient of conv2d with respect to its weight.", shape<backward_weight_rule>, ATLED_OP_FUNCTION});
}

}  // namespace atled::nn
