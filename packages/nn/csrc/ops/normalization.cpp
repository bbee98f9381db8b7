#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// normalized_shape must end input's shape; returns how many leading dimensions are left.
int leading_dims(const atled_tensor* input, Shape normalized) {
  const int lead = input->dl.ndim - normalized.ndim;
  bool ends = normalized.ndim > 0 && lead >= 0;
  for (int i = 0; ends && i < normalized.ndim; ++i) ends = input->dl.shape[lead + i] == normalized.dims[i];
  if (!ends)
    fail(ATLED_E_SHAPE, "expected input's shape to end with normalized_shape, got %s and %s", shape_text(input).c_str(),
         shape_text(normalized.ndim, normalized.dims).c_str());
  return lead;
}

// Statistics keep half-precision inputs' float32, one element for each normalised group.
void group_spec(atled_spec& spec, const atled_tensor* input, int lead) {
  set_spec(spec, compute_dtype(input->dtype), input->dl.ndim, input->dl.shape);
  for (int i = lead; i < input->dl.ndim; ++i) spec.shape[i] = 1;
}

void layer_norm_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *weight = arg_tensor(f, 2), *bias = arg_tensor(f, 3);
  const Shape normalized = arg_shape(f, 1);
  expect_float(input, "input");
  const int lead = leading_dims(input, normalized);
  expect_shape(weight, "weight", normalized.ndim, normalized.dims);
  expect_shape(bias, "bias", normalized.ndim, normalized.dims);
  expect_dtype_of(weight, "weight", input, "input");
  expect_dtype_of(bias, "bias", input, "input");
  same_spec(outs[0], input);
  group_spec(outs[1], input, lead);
  group_spec(outs[2], input, lead);
}

void expect_group(const atled_tensor* t, const char* name, const atled_tensor* input, int lead) {
  atled_spec expected;
  group_spec(expected, input, lead);
  expect_shape(t, name, expected.ndim, expected.shape);
  if (t->dtype != expected.dtype)
    fail(ATLED_E_DTYPE, "expected %s of dtype %s, got %s", name, dtype_name(expected.dtype), dtype_name(t->dtype));
}

void backward_checks(const atled_frame* f) {
  const atled_tensor *grad = arg_tensor(f, 0), *input = arg_tensor(f, 1);
  expect_float(input, "input");
  expect_shape(grad, "grad", input->dl.ndim, input->dl.shape);
  expect_dtype_of(grad, "grad", input, "input");
  const int lead = leading_dims(input, arg_shape(f, 2));
  expect_group(arg_tensor(f, 3), "mean", input, lead);
  expect_group(arg_tensor(f, 4), "rstd", input, lead);
}

void layer_norm_backward_rule(const atled_frame* f, atled_spec* outs) {
  backward_checks(f);
  const atled_tensor *input = arg_tensor(f, 1), *weight = arg_tensor(f, 5);
  const Shape normalized = arg_shape(f, 2);
  expect_shape(weight, "weight", normalized.ndim, normalized.dims);
  expect_dtype_of(weight, "weight", input, "input");
  same_spec(outs[0], input);
  set_spec(outs[1], input->dtype, normalized.ndim, normalized.dims);
  set_spec(outs[2], input->dtype, normalized.ndim, normalized.dims);
}

int64_t channels(const atled_tensor* input) {
  expect_float(input, "input");
  if (input->dl.ndim < 2) fail(ATLED_E_SHAPE, "expected input of shape (N, C, ...), got %s", shape_text(input).c_str());
  return input->dl.shape[1];
}

// A number for each channel, in the input's dtype or in what that is computed in.
void expect_channels(const atled_frame* f, int i, const char* name, const atled_tensor* input, int64_t c) {
  const atled_tensor* t = arg_tensor(f, i);
  expect_vector(t, name, c);
  const int wide = compute_dtype(input->dtype);
  if (t && t->dtype != wide && t->dtype != input->dtype)
    fail(ATLED_E_DTYPE, "expected %s of input's dtype %s%s, got %s", name, dtype_name(input->dtype),
         wide == input->dtype ? "" : " or of float32", dtype_name(t->dtype));
}

void batch_norm_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  const int64_t c = channels(input);
  expect_channels(f, 1, "weight", input, c);
  expect_channels(f, 2, "bias", input, c);
  if (c > 0 && numel(input) / c < 2)
    fail(ATLED_E_SHAPE, "expected more than one value per channel in training, got %s", shape_text(input).c_str());
  same_spec(outs[0], input);
  set_spec(outs[1], compute_dtype(input->dtype), {c});
  set_spec(outs[2], compute_dtype(input->dtype), {c});
}

void batch_norm_inference_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  const int64_t c = channels(input);
  expect_channels(f, 1, "mean", input, c);
  expect_channels(f, 2, "var", input, c);
  expect_channels(f, 3, "weight", input, c);
  expect_channels(f, 4, "bias", input, c);
  same_spec(outs[0], input);
}

void batch_norm_backward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(f, 0), *input = arg_tensor(f, 1);
  const int64_t c = channels(input);
  expect_shape(grad, "grad", input->dl.ndim, input->dl.shape);
  expect_dtype_of(grad, "grad", input, "input");
  expect_channels(f, 2, "mean", input, c);
  expect_channels(f, 3, "var", input, c);
  expect_channels(f, 4, "weight", input, c);
  const int affine = arg_tensor(f, 4) ? arg_tensor(f, 4)->dtype : input->dtype;
  same_spec(outs[0], input);
  set_spec(outs[1], affine, {c});
  set_spec(outs[2], affine, {c});
}

int64_t expect_groups(const atled_tensor* input, int64_t groups) {
  const int64_t c = channels(input);
  if (groups < 1 || c % groups != 0)
    fail(ATLED_E_SHAPE, "expected input (N, C, ...) with C a multiple of %lld groups, got %s",
         static_cast<long long>(groups), shape_text(input).c_str());
  return c;
}

void group_norm_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  const int64_t groups = arg_int(f, 1), c = expect_groups(input, groups);
  expect_channels(f, 2, "weight", input, c);
  expect_channels(f, 3, "bias", input, c);
  same_spec(outs[0], input);
  set_spec(outs[1], compute_dtype(input->dtype), {input->dl.shape[0], groups});
  set_spec(outs[2], compute_dtype(input->dtype), {input->dl.shape[0], groups});
}

void group_norm_backward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(f, 0), *input = arg_tensor(f, 1), *weight = arg_tensor(f, 5);
  const int64_t groups = arg_int(f, 2), c = expect_groups(input, groups), shape[] = {input->dl.shape[0], groups};
  expect_shape(grad, "grad", input->dl.ndim, input->dl.shape);
  expect_dtype_of(grad, "grad", input, "input");
  for (int i : {3, 4}) {
    const char* name = i == 3 ? "mean" : "rstd";
    expect_shape(arg_tensor(f, i), name, 2, shape);
    if (arg_tensor(f, i)->dtype != compute_dtype(input->dtype))
      fail(ATLED_E_DTYPE, "expected %s of dtype %s, got %s", name, dtype_name(compute_dtype(input->dtype)),
           dtype_name(arg_tensor(f, i)->dtype));
  }
  expect_channels(f, 5, "weight", input, c);
  const int affine = weight ? weight->dtype : input->dtype;
  same_spec(outs[0], input);
  set_spec(outs[1], affine, {c});
  set_spec(outs[2], affine, {c});
}

}  // namespace

void define_normalization() {
  define(
      {"nn::layer_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, "
       "bool center=True) -> (Tensor output, Tensor mean, Tensor rstd)",
       "(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions (Ba et al. 2016), with the "
       "mean and 1 / sqrt(var + eps). With center=False the mean counts as 0, as Zhang & Sennrich 2019 "
       "have it.\n\n"
       "input: floats of a shape that ends with normalized_shape, which is that of weight and bias; all "
       "have one dtype. mean and rstd are of input's dimensions, 1 for those that are normalised, and of "
       "float32 for half precision.\n\n"
       ">>> at.ops.nn.layer_norm(at.tensor([[1.0, 3.0]]), [2], eps=0.0).output.tolist()\n"
       "[[-1.0, 1.0]]",
       shape<layer_norm_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::layer_norm_backward(Tensor grad, Tensor input, int[] normalized_shape, Tensor mean, Tensor rstd, Tensor? "
       "weight=None, bool center=True) -> (Tensor input, Tensor weight, Tensor bias)",
       "The gradients of layer_norm with respect to its input, weight and bias.", shape<layer_norm_backward_rule>,
       ATLED_OP_FUNCTION});
  define(
      {"nn::batch_norm(Tensor input, Tensor? weight=None, Tensor? bias=None, float eps=1e-05) -> (Tensor output, "
       "Tensor mean, Tensor var)",
       "Normalises each channel of (N, C, ...) by the batch's mean and biased variance (Ioffe & Szegedy "
       "2015), which it returns too.\n\n"
       "weight and bias: (C,), of input's floating dtype, beside half precision also float32. ShapeError "
       "for one value per channel.\n\n"
       ">>> at.ops.nn.batch_norm(at.tensor([[1.0], [3.0]]), eps=0.0).var.tolist()\n"
       "[1.0]",
       shape<batch_norm_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::batch_norm_backward(Tensor grad, Tensor input, Tensor mean, Tensor var, Tensor? weight=None, float "
       "eps=1e-05) -> "
       "(Tensor input, Tensor weight, Tensor bias)",
       "The gradients of batch_norm with respect to its input, weight and bias.", shape<batch_norm_backward_rule>,
       ATLED_OP_FUNCTION});
  define(
      {"nn::batch_norm_inference(Tensor input, Tensor mean, Tensor var, Tensor? weight=None, Tensor? bias=None, float "
       "eps=1e-05) -> Tensor",
       "Normalises each channel of (N, C, ...) by a given mean and variance: (x - mean) / sqrt(var + eps) "
       "* weight + bias.\n\n"
       "mean, var, weight and bias: (C,), of input's floating dtype, beside half precision also float32.\n\n"
       ">>> at.ops.nn.batch_norm_inference(at.tensor([[3.0]]), at.tensor([1.0]), at.tensor([4.0]), eps=0.0).tolist()\n"
       "[[1.0]]",
       shape<batch_norm_inference_rule>, ATLED_OP_FUNCTION});
  define({"nn::update_average(Tensor(a!) input, Tensor value, float momentum, float scale=1.0) -> Tensor",
          "Moves a running average in place: (1 - momentum) input + momentum scale value, which is of input's "
          "shape.\n\n"
          ">>> average = at.tensor([1.0])\n"
          ">>> _ = at.ops.nn.update_average(average, at.tensor([3.0]), 0.5)\n"
          ">>> average.tolist()\n"
          "[2.0]",
          nullptr, ATLED_OP_FUNCTION});
  define(
      {"nn::group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05) -> "
       "(Tensor output, Tensor mean, Tensor rstd)",
       "Normalises each group of neighbouring channels of (N, C, ...) (Wu & He 2018), with the means and 1 "
       "/ sqrt(var + eps) of (N, num_groups).\n\n"
       "weight and bias: (C,), of input's floating dtype, beside half precision also float32. ShapeError "
       "where C is no multiple of num_groups.\n\n"
       ">>> at.ops.nn.group_norm(at.tensor([[1.0, 3.0, 4.0, 8.0]]), 2, eps=0.0).output.tolist()\n"
       "[[-1.0, 1.0, -1.0, 1.0]]",
       shape<group_norm_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::group_norm_backward(Tensor grad, Tensor input, int num_groups, Tensor mean, Tensor rstd, Tensor? "
       "weight=None) -> (Tensor input, Tensor weight, Tensor bias)",
       "The gradients of group_norm with respect to its input, weight and bias.", shape<group_norm_backward_rule>,
       ATLED_OP_FUNCTION});
}

}  // namespace atled::nn
