// What bincount's arguments must be, on every device.
#pragma once

#include "ops/layout.h"

namespace atled::core {

inline void expect_countable(const atled_tensor* input, const atled_tensor* weights, int64_t minlength) {
  if (input->dl.ndim != 1 || !is_integer(input->dtype))
    fail(ATLED_E_DTYPE, "expected input to be a vector of integers, got %s of shape %s", dtype_name(input->dtype),
         shape_text(input).c_str());
  if (weights && !same_shape(input, weights))
    fail(ATLED_E_SHAPE, "expected weights of input's shape %s, got %s", shape_text(input).c_str(),
         shape_text(weights).c_str());
  if (minlength < 0) fail(ATLED_E_VALUE, "expected minlength >= 0, got %lld", (long long)minlength);
}

}  // namespace atled::core
