// Element i of what is made from no tensor.
#pragma once

#include <cmath>
#include <complex>

#include "functors/copy.h"

namespace atled::core {

// start + i * step modulo 2^64.
struct IntegerRange {
  uint64_t start, step;
  ATLED_FN int64_t operator()(int64_t i) const { return static_cast<int64_t>(start + static_cast<uint64_t>(i) * step); }
};
struct FloatRange {
  double start, step;
  ATLED_FN double operator()(int64_t i) const { return start + static_cast<double>(i) * step; }
};

// Counted from the nearer end, so that both ends are exact and the middle is symmetric.
template <class R>
struct Spaced {
  R start, end, step;
  int64_t gaps;
  Spaced(R a, R b, int64_t steps, bool endpoint) : start(a), end(b), step(0), gaps(endpoint ? steps - 1 : steps) {
    if (gaps > 0) step = (b - a) / static_cast<double>(gaps);
  }
  // Without the endpoint, the same numbers as with it and one more.
  ATLED_FN R operator()(int64_t i) const {
    if (i < (gaps + 1) / 2 || gaps == 0) return start + step * static_cast<double>(i);
    return end - step * static_cast<double>(gaps - i);
  }
};
struct LogSpaced {
  double base;
  Spaced<double> exponents;
  ATLED_FN double operator()(int64_t i) const { return std::pow(base, exponents(i)); }
};

}  // namespace atled::core
