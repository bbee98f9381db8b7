#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

void constant_pad_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  const atled_value& pad = f->args[1];
  const int pairs = static_cast<int>(pad.n / 2), ndim = input->dl.ndim;
  if (pad.n % 2 != 0 || pairs > ndim)
    fail(ATLED_E_VALUE, "expected pad to hold two sizes for each of at most %d last dimensions, got %u sizes", ndim,
         pad.n);
  same_spec(outs[0], input);
  for (int i = 0; i < pairs; ++i) {
    int64_t& size = outs[0].shape[ndim - 1 - i];
    const int64_t padded = size + pad.u.ints[2 * i] + pad.u.ints[2 * i + 1];
    if (padded < 0)
      fail(ATLED_E_SHAPE, "expected pad to leave no negative size, got %s and %lld, %lld for dimension %d",
           shape_text(input).c_str(), static_cast<long long>(pad.u.ints[2 * i]),
           static_cast<long long>(pad.u.ints[2 * i + 1]), ndim - 1 - i);
    size = padded;
  }
}

}  // namespace

void define_padding() {
  define({"nn::constant_pad(Tensor input, int[] pad, Scalar value=0) -> Tensor",
          "Surrounds input with value: pad holds (before, after) for the last dimension, then for the one before it, "
          "...; negative sizes crop.",
          shape<constant_pad_rule>, ATLED_OP_FUNCTION});
}

}  // namespace atled::nn
