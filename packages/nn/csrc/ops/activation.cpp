#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

constexpr uint32_t kTraits = ATLED_OP_ELEMENTWISE | ATLED_OP_FUNCTION;

void gelu_rule(const atled_frame* f, atled_spec* outs) {
  const char* approximate = f->args[f->op->nargs - 1].u.str;
  if (strcmp(approximate, "none") != 0 && strcmp(approximate, "tanh") != 0)
    fail(ATLED_E_VALUE, "expected approximate to be 'none' or 'tanh', got '%s'", approximate);
  float_rule(f, outs);
}

void hardtanh_rule(const atled_frame* f, atled_spec* outs) {
  const double low = arg_double(f, f->op->nargs - 2), high = arg_double(f, f->op->nargs - 1);
  if (low > high) fail(ATLED_E_VALUE, "expected min_val <= max_val, got %g and %g", low, high);
  float_rule(f, outs);
}

void shrink_rule(const atled_frame* f, atled_spec* outs) {
  const double bound = arg_double(f, f->op->nargs - 1);
  if (!(bound >= 0) || std::isinf(bound)) fail(ATLED_E_VALUE, "expected a finite lambd of at least 0, got %g", bound);
  float_rule(f, outs);
}

void prelu_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *weight = arg_tensor(f, 1);
  expect_float(input, "input");
  expect_dtype_of(weight, "weight", input, "input");
  // What vmap has many of may be the weight alone.
  const int ndim = std::max(input->dl.ndim, weight->dl.ndim);
  std::vector<int64_t> sizes(static_cast<size_t>(ndim), 1);
  for (const atled_tensor* t : {input, weight}) {
    for (int i = 0; i < t->dl.ndim; ++i) {
      int64_t& size = sizes[static_cast<size_t>(ndim - t->dl.ndim + i)];
      if (t->dl.shape[i] != 1 && size != 1 && size != t->dl.shape[i])
        fail(ATLED_E_SHAPE, "expected weight of a shape that broadcasts with input's, got %s and %s",
             shape_text(weight).c_str(), shape_text(input).c_str());
      if (size == 1) size = t->dl.shape[i];
    }
  }
  set_spec(outs[0], input->dtype, ndim, sizes.data());
}

// For devices that have no kernel of one pass.
void prelu(atled_frame* f) {
  static const Op greater{"core::gt"}, mul{"core::mul"}, where{"core::where"};
  const Tensor positive = greater(f->args[0], int64_t{0}), low = mul(f->args[1], f->args[0]);
  atled_value out = f->outs[0];
  where.run(ATLED_CALL_OUT, &out, {value(positive), f->args[0], value(low)});
  api.release(out.u.tensor);
}

}  // namespace

void define_activation() {
  define({"nn::elu(Tensor input, float alpha=1.0, float scale=1.0, float input_scale=1.0) -> Tensor",
          "scale x where x > 0, else scale alpha (exp(input_scale x) - 1) (Clevert et al. 2016).\n\n"
          ">>> at.ops.nn.elu(at.tensor([-100.0, 0.0, 2.0]), 0.5).tolist()\n"
          "[-0.5, 0.0, 2.0]",
          shape<float_rule>, kTraits | ATLED_OP_INPLACE});
  define(
      {"nn::elu_backward(Tensor grad, Tensor input, float alpha=1.0, float scale=1.0, float input_scale=1.0) -> "
       "Tensor",
       "grad times the slope of elu at input.", shape<float_rule>, kTraits});
  define({"nn::gelu(Tensor input, str approximate=\"none\") -> Tensor",
          "x Phi(x) with the normal distribution's Phi (Hendrycks & Gimpel 2016); \"tanh\" takes its "
          "approximation. InvalidValueError for others.\n\n"
          ">>> at.ops.nn.gelu(at.tensor([-1.0, 0.0, 1.0]))\n"
          "tensor([-0.1587,  0.0000,  0.8413])",
          shape<gelu_rule>, kTraits});
  define({"nn::gelu_backward(Tensor grad, Tensor input, str approximate=\"none\") -> Tensor",
          "grad times the slope of gelu at input.", shape<gelu_rule>, kTraits});
  define({"nn::hardshrink(Tensor input, float lambd=0.5) -> Tensor",
          "x where |x| > lambd, else 0.\n\n"
          ">>> at.ops.nn.hardshrink(at.tensor([-1.0, 0.25])).tolist()\n"
          "[-1.0, 0.0]",
          shape<float_rule>, kTraits | ATLED_OP_INPLACE});
  define({"nn::hardshrink_backward(Tensor grad, Tensor input, float lambd=0.5) -> Tensor",
          "grad times the slope of hardshrink at input.", shape<float_rule>, kTraits});
  define({"nn::hardsigmoid(Tensor input) -> Tensor",
          "(x + 3) / 6, bounded by 0 and 1 (Howard et al. 2019); the slope is 0 at -3 and 3.\n\n"
          ">>> at.ops.nn.hardsigmoid(at.tensor([-4.0, 0.0, 1.5])).tolist()\n"
          "[0.0, 0.5, 0.75]",
          shape<float_rule>, kTraits | ATLED_OP_INPLACE});
  define({"nn::hardsigmoid_backward(Tensor grad, Tensor input) -> Tensor",
          "grad times the slope of hardsigmoid at input.", shape<float_rule>, kTraits});
  define({"nn::hardswish(Tensor input) -> Tensor",
          "x hardsigmoid(x) (Howard et al. 2019); the slope is 0 at -3 and 1 at 3.\n\n"
          ">>> at.ops.nn.hardswish(at.tensor([-3.0, -1.5, 3.0])).tolist()\n"
          "[0.0, -0.375, 3.0]",
          shape<float_rule>, kTraits | ATLED_OP_INPLACE});
  define({"nn::hardswish_backward(Tensor grad, Tensor input) -> Tensor", "grad times the slope of hardswish at input.",
          shape<float_rule>, kTraits});
  define({"nn::hardtanh(Tensor input, float min_val=-1.0, float max_val=1.0) -> Tensor",
          "x, bounded below and above; the slope is 0 at the bounds. InvalidValueError for min_val above "
          "max_val.\n\n"
          ">>> at.ops.nn.hardtanh(at.tensor([-3.0, 0.5])).tolist()\n"
          "[-1.0, 0.5]",
          shape<hardtanh_rule>, kTraits | ATLED_OP_INPLACE});
  define({"nn::hardtanh_backward(Tensor grad, Tensor input, float min_val=-1.0, float max_val=1.0) -> Tensor",
          "grad times the slope of hardtanh at input.", shape<hardtanh_rule>, kTraits});
  define({"nn::leaky_relu(Tensor input, float negative_slope=0.01) -> Tensor",
          "x where x > 0, else negative_slope x (Maas et al. 2013).\n\n"
          ">>> at.ops.nn.leaky_relu(at.tensor([-4.0, 4.0]), 0.25).tolist()\n"
          "[-1.0, 4.0]",
          shape<float_rule>, kTraits | ATLED_OP_INPLACE});
  define({"nn::leaky_relu_backward(Tensor grad, Tensor input, float negative_slope=0.01) -> Tensor",
          "grad times the slope of leaky_relu at input.", shape<float_rule>, kTraits});
  define({"nn::logsigmoid(Tensor input) -> Tensor",
          "log(sigmoid(x)), without overflow.\n\n"
          ">>> at.ops.nn.logsigmoid(at.tensor([-100.0, 0.0]))\n"
          "tensor([-100.0000, -0.6931])",
          shape<float_rule>, kTraits | ATLED_OP_INPLACE});
  define({"nn::logsigmoid_backward(Tensor grad, Tensor input) -> Tensor",
          "grad times the slope of logsigmoid at input.", shape<float_rule>, kTraits});
  define({"nn::mish(Tensor input) -> Tensor",
          "x tanh(log(1 + exp(x))) (Misra 2019), without overflow.\n\n"
          ">>> at.ops.nn.mish(at.tensor([-1.0, 0.0, 1.0]))\n"
          "tensor([-0.3034,  0.0000,  0.8651])",
          shape<float_rule>, kTraits | ATLED_OP_INPLACE});
  define({"nn::mish_backward(Tensor grad, Tensor input) -> Tensor", "grad times the slope of mish at input.",
          shape<float_rule>, kTraits});
  define({"nn::prelu(Tensor input, Tensor weight) -> Tensor",
          "x where it is positive, else weight x (He et al. 2015, eq. 1); the two broadcast, and have one "
          "dtype.\n\n"
          ">>> at.ops.nn.prelu(at.tensor([[-4.0, -4.0]]), at.tensor([0.25, 0.5])).tolist()\n"
          "[[-1.0, -2.0]]",
          shape<prelu_rule>, kTraits});
  define({"nn::silu(Tensor input) -> Tensor",
          "x sigmoid(x) (Elfwing et al. 2018).\n\n"
          ">>> at.ops.nn.silu(at.tensor([-1.0, 0.0, 1.0]))\n"
          "tensor([-0.2689,  0.0000,  0.7311])",
          shape<float_rule>, kTraits | ATLED_OP_INPLACE});
  define({"nn::silu_backward(Tensor grad, Tensor input) -> Tensor", "grad times the slope of silu at input.",
          shape<float_rule>, kTraits});
  define({"nn::softplus(Tensor input, float beta=1.0, float threshold=20.0) -> Tensor",
          "log(1 + exp(beta x)) / beta, and x itself where beta x > threshold.\n\n"
          ">>> at.ops.nn.softplus(at.tensor([0.0, 100.0]))\n"
          "tensor([  0.6931, 100.0000])",
          shape<float_rule>, kTraits});
  define({"nn::softplus_backward(Tensor grad, Tensor input, float beta=1.0, float threshold=20.0) -> Tensor",
          "grad times the slope of softplus at input.", shape<float_rule>, kTraits});
  define({"nn::softshrink(Tensor input, float lambd=0.5) -> Tensor",
          "x brought nearer to 0 by lambd, and 0 where |x| <= lambd. InvalidValueError unless lambd is 0 or "
          "more and finite.\n\n"
          ">>> at.ops.nn.softshrink(at.tensor([-1.0, 0.25, 2.0])).tolist()\n"
          "[-0.5, 0.0, 1.5]",
          shape<shrink_rule>, kTraits | ATLED_OP_INPLACE});
  define({"nn::softshrink_backward(Tensor grad, Tensor input, float lambd=0.5) -> Tensor",
          "grad times the slope of softshrink at input.", shape<shrink_rule>, kTraits});
  add_kernel("nn::prelu", ATLED_DEVICE_ANY, kernel<prelu>);
}

}  // namespace atled::nn
