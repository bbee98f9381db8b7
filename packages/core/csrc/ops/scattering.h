// What ops over places share on every device, beside functors/scatter.h.
#pragma once

#include <limits>
#include <string>

#include "atled/plugin.hpp"
#include "tensor/dtype.h"

namespace atled::core {

// What no number of a dtype is below, or above: where an extreme begins.
inline atled_value least(int dtype) {
  if (is_floating(dtype)) return value(-std::numeric_limits<double>::infinity());
  if (!is_signed(dtype)) return value(0);
  return value(std::numeric_limits<int64_t>::min() >> (64 - 8 * itemsize(dtype)));
}
inline atled_value greatest(int dtype) {
  if (is_floating(dtype)) return value(std::numeric_limits<double>::infinity());
  if (dtype == ATLED_BOOL) return value(1);
  const int bits = 8 * itemsize(dtype) - is_signed(dtype);
  return value(bits >= 63 ? std::numeric_limits<int64_t>::max() : (int64_t{1} << bits) - 1);
}

inline bool is_text(const atled_value& v, const char* text) {
  return v.tag == ATLED_STRING && std::string(v.u.str, v.n) == text;
}

// How many places unravel_index's shape has; checks its arguments.
inline int64_t unraveled_size(const atled_tensor* indices, const atled_value& shape) {
  if (!is_integer(indices->dtype))
    fail(ATLED_E_DTYPE, "expected indices to be of an integer dtype, got %s", dtype_name(indices->dtype));
  int64_t total = 1;
  bool sane = shape.n <= ATLED_MAX_NDIM;
  for (uint32_t i = 0; i < shape.n && sane; ++i) {
    const int64_t n = shape.u.ints[i];
    sane = n >= 0 && (n == 0 || total <= INT64_MAX / n);
    total = sane ? total * n : 0;
  }
  if (!sane)
    fail(ATLED_E_SHAPE, "expected a shape of sizes >= 0, got %s",
         shape_text(static_cast<int>(shape.n), shape.u.ints).c_str());
  return total;
}

}  // namespace atled::core
