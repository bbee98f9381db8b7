#include "ops/operands.h"
#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

void linear_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *weight = arg_tensor(f, 1), *bias = arg_tensor(f, 2);
  expect_float(input, "input");
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

// What core does in one pass where the device has it.
void linear_relu(atled_frame* f) {
  static const Op addmm_relu{"core::addmm_relu"};
  atled_tensor* input = arg_tensor(f, 0);
  const Tensor whole = input->dl.ndim == 2 ? Tensor::borrow(input) : contiguous(input);
  const Tensor rows = as_rows(whole), weight = transposed(arg_tensor(f, 1)), out = as_rows(out_tensor(f));
  atled_value result = value(out);
  addmm_relu.run(ATLED_CALL_OUT, &result, {f->args[2], value(rows), value(weight)});
  api.release(result.u.tensor);
}

}  // namespace

void define_linear() {
  define({"nn::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
          "input @ weight.T + bias for input (*, in_features) and weight (out_features, in_features).",
          shape<linear_rule>, ATLED_OP_FUNCTION});
  define({"nn::linear_relu(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
          "relu(input @ weight.T + bias), on some devices in one pass.", shape<linear_rule>, ATLED_OP_FUNCTION});
  add_kernel("nn::linear_relu", ATLED_DEVICE_ANY, kernel<linear_relu>);
}

}  // namespace atled::nn
