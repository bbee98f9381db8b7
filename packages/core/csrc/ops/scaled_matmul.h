// scaled_mm's arguments, and what is left to do once the product is made; for the kernels of every device.
#pragma once

#include "atled/plugin.hpp"

namespace atled::core {

struct ScaledProduct {
  explicit ScaledProduct(const atled_frame* f)
      : a(arg_tensor(f, 0)),
        b(arg_tensor(f, 1)),
        scale_a(arg_tensor(f, 2)),
        scale_b(arg_tensor(f, 3)),
        bias(arg_is_none(f, 4) ? nullptr : arg_tensor(f, 4)),
        out(out_tensor(f)) {}

  // Each matrix has one scale, and not one a row of a or a column of b.
  bool has_single_scales() const { return numel(scale_a) == 1 && numel(scale_b) == 1; }

  // out = product * scale_a * scale_b + bias, for the product of a and b in float32
  void finish(const Tensor& product) const {
    static const Op mul{"core::mul"}, add{"core::add"}, reshape{"core::reshape"}, copy{"core::copy_"};
    const auto broadcast = [](atled_tensor* scale) {
      return numel(scale) == 1 ? reshape(scale, ints_value(nullptr, 0)) : Tensor::borrow(scale);
    };
    Tensor result = mul(product, mul(broadcast(scale_a), broadcast(scale_b)));
    if (bias) result = add(result, bias);
    copy.inplace(out, result);
  }

  atled_tensor *a, *b, *scale_a, *scale_b, *bias, *out;
};

}  // namespace atled::core
