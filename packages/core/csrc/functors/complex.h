// The parts of complex numbers.
#pragma once

#include <complex>

#include "functors/copy.h"

namespace atled::core {

struct Conj {
  template <class T>
  ATLED_FN std::complex<T> operator()(std::complex<T> z) const {
    return {z.real(), -z.imag()};
  }
};
struct RealPart {
  template <class T>
  ATLED_FN T operator()(std::complex<T> z) const {
    return z.real();
  }
};
struct ImaginaryPart {
  template <class T>
  ATLED_FN T operator()(std::complex<T> z) const {
    return z.imag();
  }
};

}  // namespace atled::core
