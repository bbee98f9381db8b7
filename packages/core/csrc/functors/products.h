// What products of matrices do to single elements: sums in a type of their own, wide enough.
#pragma once

#include <cmath>

#include "functors/inline.h"

namespace atled::core {

// Integers, in the unsigned type of their size or a wider one: they wrap modulo 2^n. bool is of its own.
template <class T, class Sum>
struct IntegerProducts {
  using Stored = T;
  using Acc = Sum;
  static ATLED_FN Acc wide(Stored x) { return x; }
  static ATLED_FN Stored narrow(Acc x) { return static_cast<Stored>(x); }
  static ATLED_FN Acc plus(Acc a, Acc b) { return a + b; }
  static ATLED_FN Acc plus_product(Acc sum, Acc a, Acc b) { return sum + a * b; }
};

// or of ands
struct TruthProducts {
  using Stored = uint8_t;
  using Acc = uint32_t;
  static ATLED_FN Acc wide(Stored x) { return x != 0; }
  static ATLED_FN Stored narrow(Acc x) { return static_cast<Stored>(x); }
  static ATLED_FN Acc plus(Acc a, Acc b) { return a | b; }
  static ATLED_FN Acc plus_product(Acc sum, Acc a, Acc b) { return sum | (a & b); }
};

ATLED_FN float fused(float a, float b, float sum) { return fmaf(a, b, sum); }
ATLED_FN double fused(double a, double b, double sum) { return fma(a, b, sum); }

template <class T, class Sum>
struct FloatProducts {
  using Stored = T;
  using Acc = Sum;
  static ATLED_FN Acc wide(Stored x) { return static_cast<Acc>(x); }
  static ATLED_FN Stored narrow(Acc x) { return static_cast<Stored>(x); }
  static ATLED_FN Acc plus(Acc a, Acc b) { return a + b; }
  static ATLED_FN Acc plus_product(Acc sum, Acc a, Acc b) { return fused(a, b, sum); }
};

template <class T>
struct alignas(2 * sizeof(T)) ComplexPair {
  T re, im;
};

template <class T>
struct ComplexProducts {
  using Stored = ComplexPair<T>;
  using Acc = ComplexPair<T>;
  static ATLED_FN Acc wide(Stored x) { return x; }
  static ATLED_FN Stored narrow(Acc x) { return x; }
  static ATLED_FN Acc plus(Acc a, Acc b) { return Acc{a.re + b.re, a.im + b.im}; }
  static ATLED_FN Acc plus_product(Acc sum, Acc a, Acc b) {
    return Acc{fused(-a.im, b.im, fused(a.re, b.re, sum.re)), fused(a.im, b.re, fused(a.re, b.im, sum.im))};
  }
};

}  // namespace atled::core
