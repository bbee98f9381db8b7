#include <algorithm>

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

// Fills the output, then copies the part of the input that it keeps.
void constant_pad(atled_frame* f) {
  static const Op fill{"core::fill_"}, copy{"core::copy_"};
  atled_tensor *input = arg_tensor(f, 0), *out = out_tensor(f);
  const atled_value& pad = f->args[1];
  const int ndim = input->dl.ndim;
  int64_t shape[ATLED_MAX_NDIM], from = 0, to = 0;
  std::copy(input->dl.shape, input->dl.shape + ndim, shape);
  for (uint32_t i = 0; i < pad.n / 2; ++i) {
    const int d = ndim - 1 - static_cast<int>(i);
    const int64_t before = pad.u.ints[2 * i], after = pad.u.ints[2 * i + 1];
    from += std::max<int64_t>(-before, 0) * input->dl.strides[d];
    to += std::max<int64_t>(before, 0) * out->dl.strides[d];
    shape[d] += std::min<int64_t>(before, 0) + std::min<int64_t>(after, 0);
  }
  fill(out, f->args[2]);
  if (std::any_of(shape, shape + ndim, [](int64_t size) { return size <= 0; })) return;
  atled_tensor *source = nullptr, *target = nullptr;
  check(api.as_view(input, input->dtype, ndim, shape, input->dl.strides, from, &source));
  const Tensor source_owner = Tensor::steal(source);
  check(api.as_view(out, out->dtype, ndim, shape, out->dl.strides, to, &target));
  const Tensor target_owner = Tensor::steal(target);
  copy(target, source);
}

}  // namespace

void define_padding() {
  define({"nn::constant_pad(Tensor input, int[] pad, Scalar value=0) -> Tensor",
          "Surrounds input with value: pad holds (before, after) for the last dimension, then for the one "
          "before it, ...; negative sizes crop.\n\n"
          "Every dtype. InvalidValueError for an odd number of sizes or too many, ShapeError where they crop "
          "too much.\n\n"
          ">>> at.ops.nn.constant_pad(at.tensor([1, 2]), [1, 2]).tolist()\n"
          "[0, 1, 2, 0, 0]",
          shape<constant_pad_rule>, ATLED_OP_FUNCTION});
  add_kernel("nn::constant_pad", ATLED_DEVICE_ANY, kernel<constant_pad>);
}

}  // namespace atled::nn
