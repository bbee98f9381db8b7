// logsumexp of complex numbers, of other ops, as every device runs it.
#pragma once

#include <limits>

#include "atled/plugin.hpp"

namespace atled::core {

// Into out, over the dimensions that the value dim says. The largest real part is taken out first, unless it is
// infinite: exp of -inf is 0, and of inf what it is.
inline void complex_logsumexp(atled_tensor* input, const atled_value& dim, const atled_value& keepdim,
                              atled_tensor* out) {
  static const Op real{"core::real"}, amax{"core::amax"}, isfinite{"core::isfinite"}, where{"core::where"},
      sub{"core::sub"}, exp{"core::exp"}, sum{"core::sum"}, log{"core::log"}, add{"core::add"}, copy{"core::copy_"},
      fill{"core::fill_"}, reshape{"core::reshape"};
  if (numel(input) == 0) {
    fill(out, -std::numeric_limits<double>::infinity());
    return;
  }
  const Tensor most = amax(real(input), dim, true);
  const Tensor shift = where(isfinite(most), most, 0.0);
  const Tensor sums = log(sum(exp(sub(input, shift)), dim, keepdim));
  const atled_value shape = ints_value(out->dl.shape, static_cast<size_t>(out->dl.ndim));
  copy(out, add(sums, reshape(shift, shape)));
}

}  // namespace atled::core
