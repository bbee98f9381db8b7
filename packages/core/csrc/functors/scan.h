// Running sums and products of one element type: what cuda/scan.cuh asks of a scan. T is the dtype's type.
#pragma once

#include <complex>
#include <type_traits>

#include "functors/arithmetic.h"

namespace atled::core {

// Floats run in double: the error must not grow along the way.
template <class T>
using ScanAcc = std::conditional_t<std::is_integral_v<T>, uint64_t,
                                   std::conditional_t<is_complex_type<T>, std::complex<double>, double>>;

template <class A, bool kProduct>
struct Running {
  using Acc = A;
  ATLED_FN Acc identity() const { return Acc(kProduct ? 1 : 0); }
  ATLED_FN Acc combine(Acc a, Acc b) const {
    if constexpr (kProduct)
      return Mul{}(a, b);
    else
      return a + b;
  }
};

template <class T, bool kProduct>
struct RunningOf : Running<ScanAcc<T>, kProduct> {
  using Base = Running<ScanAcc<T>, kProduct>;
  using Acc = typename Base::Acc;
  using In = Stored<T>;
  using Out = T;
  Out* out;
  ATLED_FN Acc load(In x, int64_t) const { return Cast<Acc, T>{}(Cast<T, In>{}(x)); }
  ATLED_FN Out finish(Acc a) const { return Cast<T, Acc>{}(a); }
};

}  // namespace atled::core
