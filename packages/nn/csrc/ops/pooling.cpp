#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

void pooled(atled_spec& spec, int dtype, Shape input, int64_t oh, int64_t ow) {
  set_spec(spec, dtype, input.ndim, input.dims);
  spec.shape[input.ndim - 2] = oh;
  spec.shape[input.ndim - 1] = ow;
}

void expect_pooled(const atled_tensor* t, const char* name, Shape input, int64_t oh, int64_t ow) {
  atled_spec expected;
  pooled(expected, t->dtype, input, oh, ow);
  expect_shape(t, name, expected.ndim, expected.shape);
}

// With gaps in it, or over nothing, a window may miss all elements.
void expect_elements(int64_t size, int64_t outputs, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  if (dilation == 1 && size > 0) return;
  for (int64_t i = 0; i < outputs; ++i) {
    const int64_t start = i * stride - padding, first = start < 0 ? (-start + dilation - 1) / dilation : 0;
    if (first >= kernel || start + first * dilation >= size)
      fail(ATLED_E_VALUE,
           "expected windows that hold an element each, got window %lld of a dimension of %lld without one",
           static_cast<long long>(i), static_cast<long long>(size));
  }
}

void max_values_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  expect_float(input, "input");
  const Pooling s = pooling(shape_of(input), f, 1, true);
  expect_elements(s.h, s.oh, s.kernel.h, s.stride.h, s.padding.h, s.dilation.h);
  expect_elements(s.w, s.ow, s.kernel.w, s.stride.w, s.padding.w, s.dilation.w);
  pooled(outs[0], input->dtype, shape_of(input), s.oh, s.ow);
}

void max_rule(const atled_frame* f, atled_spec* outs) {
  max_values_rule(f, outs);
  set_spec(outs[1], ATLED_INT64, outs[0].ndim, outs[0].shape);
}

// For devices that have no kernel which leaves out the places.
void max_values(atled_frame* f) {
  static const Op with_indices{"nn::max_pool2d_with_indices"};
  atled_tensor* out = out_tensor(f);
  const Tensor indices = Tensor::empty(ATLED_INT64, out->dl.ndim, out->dl.shape, out->dl.device);
  atled_value outs[] = {value(out), value(indices)};
  with_indices.run(ATLED_CALL_OUT, outs, {f->args[0], f->args[1], f->args[2], f->args[3], f->args[4], f->args[5]});
  for (const atled_value& result : outs) api.release(result.u.tensor);
}

void max_backward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(f, 0), *indices = arg_tensor(f, 1);
  const Shape input = arg_shape(f, 2);
  expect_float(grad, "grad");
  if (indices->dtype != ATLED_INT64)
    fail(ATLED_E_DTYPE, "expected indices to be int64, got %s", dtype_name(indices->dtype));
  if (input.ndim < 3 || grad->dl.ndim != input.ndim)
    fail(ATLED_E_SHAPE, "expected grad of as many dimensions as input_shape, at least 3, got %s and %s",
         shape_text(grad).c_str(), shape_text(input.ndim, input.dims).c_str());
  expect_pooled(grad, "grad", input, grad->dl.shape[input.ndim - 2], grad->dl.shape[input.ndim - 1]);
  expect_shape(indices, "indices", grad->dl.ndim, grad->dl.shape);
  if (!arg_is_none(f, 3)) {
    const Pair kernel = arg_pair(f, 3, {1, 1});
    expect_at_least(kernel, 1, "kernel_size");
    expect_at_least(arg_pair(f, 4, kernel), 1, "stride");
    expect_at_least(arg_pair(f, 5), 0, "padding");
    expect_at_least(arg_pair(f, 6, {1, 1}), 1, "dilation");
  }
  set_spec(outs[0], grad->dtype, input.ndim, input.dims);
}

// Positions of kernel_size and divisor_override in the two average pooling ops.
void expect_divisor(const atled_frame* f, int i) {
  if (!arg_is_none(f, i) && arg_int(f, i) == 0)
    fail(ATLED_E_VALUE, "expected divisor_override to be an integer other than 0, got 0");
}

void average_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  expect_float(input, "input");
  expect_divisor(f, 6);
  const Pooling s = pooling(shape_of(input), f, 1, false);
  pooled(outs[0], input->dtype, shape_of(input), s.oh, s.ow);
}

void average_backward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* grad = arg_tensor(f, 0);
  const Shape input = arg_shape(f, 1);
  expect_float(grad, "grad");
  expect_divisor(f, 7);
  const Pooling s = pooling(input, f, 2, false);
  expect_pooled(grad, "grad", input, s.oh, s.ow);
  set_spec(outs[0], grad->dtype, input.ndim, input.dims);
}

void adaptive_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  expect_float(input, "input");
  const Shape shape = shape_of(input);
  if (shape.ndim < 3)
    fail(ATLED_E_SHAPE, "expected input of shape (N, C, H, W) or (C, H, W), got %s", shape_text(input).c_str());
  if (shape.dims[shape.ndim - 2] == 0 || shape.dims[shape.ndim - 1] == 0)
    fail(ATLED_E_SHAPE, "expected input of at least one row and column, got %s", shape_text(input).c_str());
  const Pair size = arg_pair(f, 1);
  expect_at_least(size, 1, "output_size");
  pooled(outs[0], input->dtype, shape, size.h, size.w);
}

void adaptive_backward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* grad = arg_tensor(f, 0);
  const Shape input = arg_shape(f, 1);
  expect_float(grad, "grad");
  if (input.ndim < 3 || grad->dl.ndim != input.ndim)
    fail(ATLED_E_SHAPE, "expected grad of as many dimensions as input_shape, at least 3, got %s and %s",
         shape_text(grad).c_str(), shape_text(input.ndim, input.dims).c_str());
  expect_pooled(grad, "grad", input, grad->dl.shape[input.ndim - 2], grad->dl.shape[input.ndim - 1]);
  set_spec(outs[0], grad->dtype, input.ndim, input.dims);
}

}  // namespace

void define_pooling() {
  define(
      {"nn::max_pool2d(Tensor input, int[2] kernel_size, int[2]? stride=None, int[2] padding=0, int[2] dilation=1, "
       "bool ceil_mode=False) -> Tensor",
       "The largest element of each window of (N, C, H, W) or (C, H, W), of floats; NaN wins over "
       "everything.\n\n"
       "Without a stride windows lie side by side. ShapeError where no window fits, InvalidValueError for "
       "sizes out of range.\n\n"
       ">>> at.ops.nn.max_pool2d(at.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2).item()\n"
       "4.0",
       shape<max_values_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::max_pool2d_with_indices(Tensor input, int[2] kernel_size, int[2]? stride=None, int[2] padding=0, int[2] "
       "dilation=1, "
       "bool ceil_mode=False) -> (Tensor output, Tensor indices)",
       "The largest element of each window, as max_pool2d, and its position h * W + w in the plane, int64; "
       "the first of several.\n\n"
       ">>> at.ops.nn.max_pool2d_with_indices(at.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2).indices.item()\n"
       "2",
       shape<max_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::max_pool2d_backward(Tensor grad, Tensor indices, int[] input_shape, int[2]? kernel_size=None, int[2]? "
       "stride=None, int[2] padding=0, int[2] dilation=1) -> Tensor",
       "Adds each element of grad to the position that indices names. Given kernel_size, stride, padding and dilation, "
       "these positions are in the windows of max_pool2d_with_indices, which is faster on some devices.",
       shape<max_backward_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::avg_pool2d(Tensor input, int[2] kernel_size, int[2]? stride=None, int[2] padding=0, bool ceil_mode=False, "
       "bool count_include_pad=True, int? divisor_override=None) -> Tensor",
       "The mean of each window of (N, C, H, W) or (C, H, W), of floats; padding counts as zeros where "
       "count_include_pad says so, and divisor_override divides the sum instead.\n\n"
       ">>> at.ops.nn.avg_pool2d(at.tensor([[[1.0, 2.0], [3.0, 6.0]]]), 2).item()\n"
       "3.0",
       shape<average_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::avg_pool2d_backward(Tensor grad, int[] input_shape, int[2] kernel_size, int[2]? stride=None, int[2] "
       "padding=0, "
       "bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor",
       "The gradient of avg_pool2d.", shape<average_backward_rule>, ATLED_OP_FUNCTION});
  define({"nn::adaptive_avg_pool2d(Tensor input, int[2] output_size) -> Tensor",
          "Means over windows chosen so that (N, C, H, W) or (C, H, W) becomes (N, C, oh, ow): rows floor(i H "
          "/ oh) to ceil((i + 1) H / oh), and columns alike.\n\n"
          ">>> at.ops.nn.adaptive_avg_pool2d(at.tensor([[[1.0, 2.0, 3.0]]]), (1, 2)).tolist()\n"
          "[[[1.5, 2.5]]]",
          shape<adaptive_rule>, ATLED_OP_FUNCTION});
  define({"nn::adaptive_avg_pool2d_backward(Tensor grad, int[] input_shape) -> Tensor",
          "The gradient of adaptive_avg_pool2d.", shape<adaptive_backward_rule>, ATLED_OP_FUNCTION});
  add_kernel("nn::max_pool2d", ATLED_DEVICE_ANY, kernel<max_values>);
}

}  // namespace atled::nn
