// The larger and the smaller of float16's or bfloat16's numbers, by their bits: none is widened.
#pragma once

#include <cstdint>

#include "functors/inline.h"

namespace atled::core {

// `Infinity` is the bits of infinity, 0x7C00 or 0x7F80.
template <uint16_t Infinity>
struct HalfOrder {
  // Whole numbers in the order of the numbers, with -0 below 0.
  static ATLED_FN int16_t place(uint16_t x) {
    const int16_t bits = static_cast<int16_t>(x);
    return static_cast<int16_t>(bits ^ ((bits >> 15) & 0x7fff));
  }
  static ATLED_FN bool is_nan(uint16_t x) { return static_cast<int16_t>(x & 0x7fff) > static_cast<int16_t>(Infinity); }
  static ATLED_FN bool before(uint16_t a, uint16_t b) { return place(a) < place(b); }
};

// A NaN on either side is the result.
template <uint16_t Infinity>
struct HalfMaximum : HalfOrder<Infinity> {
  using O = HalfOrder<Infinity>;
  ATLED_FN uint16_t operator()(uint16_t a, uint16_t b) const {
    return (O::is_nan(a) | (O::before(b, a) & !O::is_nan(b))) ? a : b;
  }
};
template <uint16_t Infinity>
struct HalfMinimum : HalfOrder<Infinity> {
  using O = HalfOrder<Infinity>;
  ATLED_FN uint16_t operator()(uint16_t a, uint16_t b) const {
    return (O::is_nan(a) | (O::before(a, b) & !O::is_nan(b))) ? a : b;
  }
};
// The smaller of `high` and the larger of x and `low`, in one choice after the other: GCC makes no vectors of nested
// ones.
template <uint16_t Infinity>
struct HalfClamp : HalfOrder<Infinity> {
  using O = HalfOrder<Infinity>;
  ATLED_FN uint16_t operator()(uint16_t x, uint16_t low, uint16_t high) const {
    const int16_t at = O::place(x), first = O::place(low), last = O::place(high);
    uint16_t y = at < first ? low : x;
    y = (at < first ? first : at) > last ? high : y;
    y = O::is_nan(high) ? high : y;
    y = O::is_nan(low) ? low : y;
    return O::is_nan(x) ? x : y;
  }
};
// A NaN counts as missing.
template <uint16_t Infinity>
struct HalfFmax : HalfOrder<Infinity> {
  using O = HalfOrder<Infinity>;
  ATLED_FN uint16_t operator()(uint16_t a, uint16_t b) const {
    return (O::is_nan(b) | (O::before(b, a) & !O::is_nan(a))) ? a : b;
  }
};
template <uint16_t Infinity>
struct HalfFmin : HalfOrder<Infinity> {
  using O = HalfOrder<Infinity>;
  ATLED_FN uint16_t operator()(uint16_t a, uint16_t b) const {
    return (O::is_nan(b) | (O::before(a, b) & !O::is_nan(a))) ? a : b;
  }
};

struct HalfCopySign {
  ATLED_FN uint16_t operator()(uint16_t magnitude, uint16_t sign) const {
    return static_cast<uint16_t>((magnitude & 0x7fffu) | (sign & 0x8000u));
  }
};

}  // namespace atled::core
