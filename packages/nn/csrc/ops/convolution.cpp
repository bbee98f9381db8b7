#include <string>

#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// On a GPU, images whose channels lie last stay so.
void follow_layout(const atled_tensor* images, atled_spec& out) {
  if (images->dl.device.device_type == kDLCUDA && is_channels_last(images)) set_channels_last(out);
}

void set_output(atled_spec& spec, int dtype, const Convolution& s) {
  if (s.dims == 2)
    set_spec(spec, dtype, {s.n, s.k, s.oh, s.ow});
  else
    set_spec(spec, dtype, {s.n, s.k, s.od, s.oh, s.ow});
}

template <int dims>
void forward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *weight = arg_tensor(f, 1), *bias = arg_tensor(f, 2);
  expect_float(input, "input");
  expect_dtype_of(weight, "weight", input, "input");
  expect_dtype_of(bias, "bias", input, "input");
  const Convolution s = convolution(dims, shape_of(input), shape_of(weight), f, 3);
  expect_vector(bias, "bias", s.k);
  set_output(outs[0], input->dtype, s);
  follow_layout(input, outs[0]);
}

void expect_grad(const atled_tensor* grad, const Convolution& s) {
  atled_spec expected;
  set_output(expected, grad->dtype, s);
  expect_shape(grad, "grad", expected.ndim, expected.shape);
}

template <int dims>
void backward_input_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(f, 0), *weight = arg_tensor(f, 1);
  expect_float(grad, "grad");
  expect_dtype_of(weight, "weight", grad, "grad");
  const Shape input = arg_shape(f, 2);
  expect_grad(grad, convolution(dims, input, shape_of(weight), f, 3));
  set_spec(outs[0], grad->dtype, input.ndim, input.dims);
  follow_layout(grad, outs[0]);
}

template <int dims>
void backward_weight_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(f, 0), *input = arg_tensor(f, 1);
  expect_float(grad, "grad");
  expect_dtype_of(input, "input", grad, "grad");
  const Shape weight = arg_shape(f, 2);
  expect_grad(grad, convolution(dims, shape_of(input), weight, f, 3));
  set_spec(outs[0], grad->dtype, weight.ndim, weight.dims);
}

// The three ops of `dims` dimensions.
template <int dims>
void define_all(const char* input, const char* kernel, const char* example) {
  const std::string n = std::to_string(dims), name = "conv" + n + "d", list = "int[" + n + "] ",
                    settings =
                        list + "stride=1, " + list + "padding=0, " + list + "dilation=1, int groups=1) -> Tensor";
  const auto add = [](const std::string& schema, const std::string& doc, auto rule) {
    define({schema.c_str(), doc.c_str(), rule, ATLED_OP_FUNCTION});
  };
  add("nn::" + name + "(Tensor input, Tensor weight, Tensor? bias=None, " + settings,
      std::string("Cross-correlation of input ") + input + " with weight (K, C / groups, " + kernel +
          "), plus a bias per channel.\n\n"
          "Floats of one dtype. ShapeError where they do not fit, InvalidValueError for settings out of range.\n\n" +
          example,
      shape<forward_rule<dims>>);
  add("nn::" + name + "_backward_input(Tensor grad, Tensor weight, int[] input_shape, " + settings,
      "The gradient of " + name + " with respect to its input.", shape<backward_input_rule<dims>>);
  add("nn::" + name + "_backward_weight(Tensor grad, Tensor input, int[] weight_shape, " + settings,
      "The gradient of " + name + " with respect to its weight.", shape<backward_weight_rule<dims>>);
}

}  // namespace

void define_convolution() {
  define_all<2>("(N, C, H, W)", "kh, kw",
                ">>> at.ops.nn.conv2d(at.arange(9.0).reshape(1, 1, 3, 3), at.ones(1, 1, 2, 2)).tolist()\n"
                "[[[[8.0, 12.0], [20.0, 24.0]]]]");
  define_all<3>("(N, C, D, H, W)", "kd, kh, kw",
                ">>> at.ops.nn.conv3d(at.arange(8.0).reshape(1, 1, 2, 2, 2), at.ones(1, 1, 2, 2, 2)).item()\n28.0");
}

}  // namespace atled::nn
