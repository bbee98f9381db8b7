#include "ops/operands.h"
#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

void linear_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *weight = arg_tensor(f, 1), *bias = arg_tensor(f, 2);
  if (!is_complex(input->dtype)) expect_float(input, "input");
  expect_dtype_of(weight, "weight", input, "input");
  expect_dtype_of(bias, "bias", input, "input");
  expect_ndim(weight, "weight", 2, "(out_features, in_features)");
  const int ndim = input->dl.ndim;
  if (ndim == 0 || input->dl.shape[ndim - 1] != weight->dl.shape[1])
    fail(ATLED_E_SHAPE, "expected input.shape[-1] == weight.shape[1], got %s and %s", shape_text(input).c_str(),
         shape_text(weight).c_str());
  expect_vector(bias, "bias", weight->dl.shape[0]);
  same_spec(outs[0], input);
  outs[0].shape[ndim - 1] = weight->dl.shape[0];
}

void linear_relu_rule(const atled_frame* f, atled_spec* outs) {
  expect_float(arg_tensor(f, 0), "input");
  linear_rule(f, outs);
}

void linear_gelu_rule(const atled_frame* f, atled_spec* outs) {
  linear_relu_rule(f, outs);
  outs[1] = outs[0];
}

void linear_gelu_backward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(f, 0), *before = arg_tensor(f, 1);
  expect_float(grad, "grad");
  expect_dtype_of(before, "before", grad, "grad");
  expect_shape(before, "before", grad->dl.ndim, grad->dl.shape);
  same_spec(outs[0], grad);
}

// An op of core's that adds a bias to a product and goes on, in one pass where the device has it.
void run_active(const Op& op, atled_frame* f, int outs) {
  atled_tensor* input = arg_tensor(f, 0);
  const Tensor whole = input->dl.ndim == 2 ? Tensor::borrow(input) : contiguous(input);
  const Tensor rows = as_rows(whole), weight = transposed(arg_tensor(f, 1));
  Tensor out_rows[2];
  atled_value results[2];
  for (int i = 0; i < outs; ++i) {
    out_rows[i] = as_rows(out_tensor(f, i));
    results[i] = value(out_rows[i]);
  }
  op.run(ATLED_CALL_OUT, results, {f->args[2], value(rows), value(weight)});
  for (int i = 0; i < outs; ++i) api.release(results[i].u.tensor);
}

void linear_relu(atled_frame* f) {
  static const Op op{"core::addmm_relu"};
  run_active(op, f, 1);
}

void linear_gelu(atled_frame* f) {
  static const Op op{"core::addmm_gelu"};
  run_active(op, f, 2);
}

void linear_gelu_backward(atled_frame* f) {
  static const Op op{"nn::gelu_backward"};
  atled_value result = value(out_tensor(f)), approximate = none();
  approximate.tag = ATLED_STRING;
  approximate.u.str = "tanh";
  approximate.n = 4;
  op.run(ATLED_CALL_OUT, &result, {f->args[0], f->args[1], approximate});
  api.release(result.u.tensor);
}

}  // namespace

void define_linear() {
  define(
      {"nn::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
       "input @ weight.T + bias for input (*, in_features) and weight (out_features, in_features), floats or complex "
       "numbers of one dtype.\n\n"
       ">>> at.ops.nn.linear(at.tensor([1.0, 2.0]), at.tensor([[3.0, 4.0]]), at.tensor([0.5])).tolist()\n"
       "[11.5]",
       shape<linear_rule>, ATLED_OP_FUNCTION});
  define({"nn::linear_relu(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
          "relu(input @ weight.T + bias) of floats, on some devices in one pass; shapes are those of linear.\n\n"
          ">>> at.ops.nn.linear_relu(at.tensor([1.0, 2.0]), at.tensor([[3.0, 4.0], [-3.0, -4.0]])).tolist()\n"
          "[11.0, 0.0]",
          shape<linear_relu_rule>, ATLED_OP_FUNCTION});
  define({"nn::linear_gelu(Tensor input, Tensor weight, Tensor? bias=None) -> (Tensor out, Tensor before)",
          "gelu(before) in its tanh approximation, with before = input @ weight.T + bias, on some devices in "
          "one pass.\n\n"
          ">>> at.ops.nn.linear_gelu(at.tensor([1.0]), at.tensor([[1.0]])).out\n"
          "tensor([0.8412])",
          shape<linear_gelu_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::linear_gelu_backward(Tensor grad, Tensor before, Tensor input, Tensor weight, Tensor? bias=None) -> "
       "Tensor",
       "grad times the slope of gelu at before, which linear_gelu has made of input, weight and bias: its own "
       "gradients go there.",
       shape<linear_gelu_backward_rule>, ATLED_OP_FUNCTION});
  add_kernel("nn::linear_relu", ATLED_DEVICE_ANY, kernel<linear_relu>);
  add_kernel("nn::linear_gelu", ATLED_DEVICE_ANY, kernel<linear_gelu>);
  add_kernel("nn::linear_gelu_backward", ATLED_DEVICE_ANY, kernel<linear_gelu_backward>);
}

}  // namespace atled::nn
