#include "functors/loss.h"

#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// input (C) or (N, C, d1, ...), target () or (N, d1, ...).
void nll_checks(Shape input, const atled_tensor* target, const atled_tensor* weight) {
  if (input.ndim < 1) fail(ATLED_E_SHAPE, "expected input of shape (C,) or (N, C, ...), got ()");
  const int at = input.ndim == 1 ? 0 : 1;
  int64_t expected[ATLED_MAX_NDIM];
  for (int i = 0, n = 0; i < input.ndim; ++i)
    if (i != at) expected[n++] = input.dims[i];
  expect_index(target, "target");
  expect_shape(target, "target", input.ndim - 1, expected);
  expect_vector(weight, "weight", input.dims[at]);
}

void expect_smoothing(double smoothing) {
  if (!(smoothing >= 0 && smoothing <= 1)) fail(ATLED_E_VALUE, "expected label_smoothing in [0, 1], got %g", smoothing);
}

void nll_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *target = arg_tensor(f, 1), *weight = arg_tensor(f, 2);
  expect_float(input, "input");
  expect_dtype_of(weight, "weight", input, "input");
  nll_checks(shape_of(input), target, weight);
  expect_smoothing(arg_double(f, 5));
  if (arg_reduction(f, 3) == Reduction::kNone)
    set_spec(outs[0], input->dtype, target->dl.ndim, target->dl.shape);
  else
    set_spec(outs[0], input->dtype, {});
  set_spec(outs[1], compute_dtype(input->dtype), {});
}

void nll_backward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(f, 0), *target = arg_tensor(f, 1), *total = arg_tensor(f, 3);
  const Shape input = arg_shape(f, 4);
  expect_float(grad, "grad");
  expect_dtype_of(arg_tensor(f, 2), "weight", grad, "grad");
  nll_checks(input, target, arg_tensor(f, 2));
  expect_shape(total, "total_weight", 0, nullptr);
  expect_smoothing(arg_double(f, 7));
  if (arg_reduction(f, 5) == Reduction::kNone)
    expect_shape(grad, "grad", target->dl.ndim, target->dl.shape);
  else
    expect_shape(grad, "grad", 0, nullptr);
  if (total->dtype != compute_dtype(grad->dtype))
    fail(ATLED_E_DTYPE, "expected total_weight of dtype %s, got %s", dtype_name(compute_dtype(grad->dtype)),
         dtype_name(total->dtype));
  set_spec(outs[0], grad->dtype, input.ndim, input.dims);
}

// Losses of pairs; the reduction is the argument `at`.
void pair_rule(const atled_frame* f, atled_spec* outs, int at) {
  const atled_tensor *input = arg_tensor(f, 0), *target = arg_tensor(f, 1);
  expect_float(input, "input");
  expect_shape(target, "target", input->dl.ndim, input->dl.shape);
  expect_dtype_of(target, "target", input, "input");
  same_spec(outs[0], input);
  if (arg_reduction(f, at) != Reduction::kNone) set_spec(outs[0], input->dtype, {});
}

void pair_backward_rule(const atled_frame* f, atled_spec* outs, int at) {
  const atled_tensor *grad = arg_tensor(f, 0), *input = arg_tensor(f, 1), *target = arg_tensor(f, 2);
  expect_float(input, "input");
  expect_dtype_of(grad, "grad", input, "input");
  expect_dtype_of(target, "target", input, "input");
  expect_shape(target, "target", input->dl.ndim, input->dl.shape);
  if (arg_reduction(f, at) == Reduction::kNone)
    expect_shape(grad, "grad", input->dl.ndim, input->dl.shape);
  else
    expect_shape(grad, "grad", 0, nullptr);
  same_spec(outs[0], input);
}

void mse_rule(const atled_frame* f, atled_spec* outs) { pair_rule(f, outs, 2); }
void mse_backward_rule(const atled_frame* f, atled_spec* outs) { pair_backward_rule(f, outs, 3); }
void paired_rule(const atled_frame* f, atled_spec* outs) {
  visit_loss<float>(f, 2, [](auto) {});
  pair_rule(f, outs, 3);
}
void paired_backward_rule(const atled_frame* f, atled_spec* outs) {
  visit_loss<float>(f, 3, [](auto) {});
  pair_backward_rule(f, outs, 4);
}

}  // namespace

void define_loss() {
  define(
      {"nn::nll_loss(Tensor input, Tensor target, Tensor? weight=None, str reduction=\"mean\", int ignore_index=-100, "
       "float label_smoothing=0.0) -> (Tensor output, Tensor total_weight)",
       "-weight[y] input[y] for log-probabilities input (N, C, ...) and classes y (N, ...); with label "
       "smoothing e, (1 - e) of it and e of the mean over the classes.\n\n"
       "target: int32 or int64; weight: (C,). \"mean\" divides by total_weight, the sum of weight[y] of "
       "the targets other than ignore_index; \"none\" answers target's shape. BoundsError for a class that "
       "there is not.\n\n"
       ">>> at.ops.nn.nll_loss(at.tensor([[-1.0, -2.0], [-3.0, -4.0]]), at.tensor([0, 1])).output.item()\n"
       "2.5",
       shape<nll_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::nll_loss_backward(Tensor grad, Tensor target, Tensor? weight, Tensor total_weight, int[] input_shape, str "
       "reduction=\"mean\", "
       "int ignore_index=-100, float label_smoothing=0.0) -> Tensor",
       "The gradient of nll_loss with respect to its input.", shape<nll_backward_rule>, ATLED_OP_FUNCTION});
  define({"nn::mse_loss(Tensor input, Tensor target, str reduction=\"mean\") -> Tensor",
          "(input - target)^2 of two tensors of one shape and floating dtype, its mean or its sum, or with "
          "\"none\" each.\n\n"
          ">>> at.ops.nn.mse_loss(at.tensor([1.0, 2.0]), at.tensor([1.0, 5.0])).item()\n"
          "4.5",
          shape<mse_rule>, ATLED_OP_FUNCTION});
  define({"nn::mse_loss_backward(Tensor grad, Tensor input, Tensor target, str reduction=\"mean\") -> Tensor",
          "The gradient of mse_loss with respect to its input.", shape<mse_backward_rule>, ATLED_OP_FUNCTION});
  define({"nn::paired_loss(Tensor input, Tensor target, str kind, str reduction=\"mean\", float bound=1.0) -> Tensor",
          "A loss of each pair of an input x and its target y, the mean or the sum of them. By kind, with d = "
          "|x - y|: \"l1\" is d; \"huber\" d^2 / 2 below the bound b, else b (d - b / 2), and \"smooth_l1\" "
          "that over b; \"bce_with_logits\" the binary cross-entropy of sigmoid(x), and \"bce\" that of "
          "probabilities x, whose slope's divisor x (1 - x) counts as at least b; \"kl_div\" y (log(y) - x), "
          "and \"kl_div_of_logs\" the same where y is a logarithm.\n\n"
          "input and target: of one shape and floating dtype.\n\n"
          ">>> at.ops.nn.paired_loss(at.tensor([0.5, 3.0]), at.zeros(2), \"huber\", \"none\").tolist()\n"
          "[0.125, 2.5]",
          shape<paired_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::paired_loss_backward(Tensor grad, Tensor input, Tensor target, str kind, str reduction=\"mean\", float "
       "bound=1.0) -> Tensor",
       "The gradient of paired_loss with respect to its input.", shape<paired_backward_rule>, ATLED_OP_FUNCTION});
}

}  // namespace atled::nn
