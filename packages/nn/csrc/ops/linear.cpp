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

}  // namespace

void define_linear() {
  define({"nn::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
          "input @ weight.T + bias for input (*, in_features) and weight (out_features, in_features).",
          shape<linear_rule>, ATLED_OP_FUNCTION});
}

}  // namespace atled::nn
