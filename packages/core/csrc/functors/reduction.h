// Reductions of one element type: what cpu/reduce.h asks of a functor. T is the dtype's type.
#pragma once

#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "functors/arithmetic.h"
#include "functors/float_math.h"

namespace atled::core {

// Integers are summed modulo 2^64, halves in float.
template <class T>
using SumAcc = std::conditional_t<is_small_float<T>, float, std::conditional_t<std::is_integral_v<T>, uint64_t, T>>;
template <class T>
using SumOut =
    std::conditional_t<std::is_integral_v<T>, std::conditional_t<std::is_same_v<T, uint64_t>, uint64_t, int64_t>, T>;
// What comparisons are made in.
template <class T>
using OrderAcc = std::conditional_t<is_small_float<T>, float, Stored<T>>;
template <class T>
using NormOut = std::conditional_t<std::is_same_v<T, std::complex<float>>, float,
                                   std::conditional_t<std::is_same_v<T, std::complex<double>>, double, T>>;

template <class T>
struct Sum {
  static constexpr bool kAdds = true;  // or multiplies: combine is no comparison
  static constexpr bool kSums = true;  // the elements as they are
  using In = Stored<T>;
  using Acc = SumAcc<T>;
  using Out = SumOut<T>;
  ATLED_FN Acc identity() const { return Acc(0); }
  ATLED_FN Acc load(In x) const { return static_cast<Acc>(Cast<T, In>{}(x)); }
  ATLED_FN Acc combine(Acc a, Acc b) const { return a + b; }
  ATLED_FN Out finish(Acc a) const { return Out(a); }
};

template <class T>
struct Prod : Sum<T> {
  static constexpr bool kSums = false;
  using Acc = SumAcc<T>;
  ATLED_FN Acc identity() const { return Acc(1); }
  ATLED_FN Acc combine(Acc a, Acc b) const { return Mul{}(a, b); }
};

// NaN counts as 0.
template <class T>
struct NanSum : Sum<T> {
  static constexpr bool kSums = false;
  using Acc = typename Sum<T>::Acc;
  ATLED_FN Acc load(Stored<T> x) const {
    const Acc y = Sum<T>::load(x);
    return y == y ? y : Acc(0);
  }
};

// The sum over a count; A is wider than T's own accumulator where the mean is an intermediate.
template <class T, class A = SumAcc<T>, class O = T>
struct Mean {
  static constexpr bool kAdds = true, kSums = true;
  using In = T;
  using Acc = A;
  using Out = O;
  double count;
  ATLED_FN Acc identity() const { return Acc(0); }
  ATLED_FN Acc load(In x) const { return static_cast<Acc>(x); }
  ATLED_FN Acc combine(Acc a, Acc b) const { return a + b; }
  ATLED_FN Out finish(Acc a) const {
    if constexpr (is_complex_type<Acc>) {
      return Out(a / static_cast<typename Acc::value_type>(count));
    } else {
      return Out(static_cast<Acc>(a / count));
    }
  }
};

template <class T>
struct Largest {
  static constexpr bool kAdds = false, kSums = false;
  using In = Stored<T>;
  using Acc = OrderAcc<T>;
  using Out = T;
  ATLED_FN Acc identity() const {
    using L = std::numeric_limits<Acc>;
    return L::has_infinity ? -L::infinity() : L::lowest();
  }
  ATLED_FN Acc load(In x) const { return static_cast<Acc>(x); }
  ATLED_FN Acc combine(Acc a, Acc b) const { return Maximum{}(a, b); }
  ATLED_FN Out finish(Acc a) const { return Out(a); }
};
template <class T>
struct Smallest : Largest<T> {
  using Acc = OrderAcc<T>;
  ATLED_FN Acc identity() const {
    using L = std::numeric_limits<Acc>;
    return L::has_infinity ? L::infinity() : L::max();
  }
  ATLED_FN Acc combine(Acc a, Acc b) const { return Minimum{}(a, b); }
};

template <class T>
ATLED_FN bool is_true(Stored<T> x) {
  if constexpr (is_complex_type<T>) {
    return (x.real() != 0) | (x.imag() != 0);
  } else if constexpr (is_small_float<T>) {
    return (x.bits & 0x7fff) != 0;
  } else {
    return x != 0;
  }
}

template <class T>
struct AnyTrue {
  static constexpr bool kAdds = true, kSums = false;
  using In = Stored<T>;
  using Acc = uint8_t;
  using Out = bool;
  ATLED_FN Acc identity() const { return 0; }
  ATLED_FN Acc load(In x) const { return is_true<T>(x); }
  ATLED_FN Acc combine(Acc a, Acc b) const { return a | b; }
  ATLED_FN Out finish(Acc a) const { return a != 0; }
};
template <class T>
struct AllTrue : AnyTrue<T> {
  ATLED_FN uint8_t identity() const { return 1; }
  ATLED_FN uint8_t combine(uint8_t a, uint8_t b) const { return a & b; }
};
template <class T>
struct CountTrue {
  static constexpr bool kAdds = true, kSums = false;
  using In = Stored<T>;
  using Acc = int64_t;
  using Out = int64_t;
  ATLED_FN Acc identity() const { return 0; }
  ATLED_FN Acc load(In x) const { return is_true<T>(x); }
  ATLED_FN Acc combine(Acc a, Acc b) const { return a + b; }
  ATLED_FN Out finish(Acc a) const { return a; }
};

// Norms and variances are accumulated in double, so that squares of floats neither overflow nor lose digits.
template <class T>
ATLED_FN double size_of(T x) {
  if constexpr (is_complex_type<T>) {
    return std::hypot(static_cast<double>(x.real()), static_cast<double>(x.imag()));
  } else {
    return std::fabs(static_cast<double>(x));
  }
}

template <class T>
struct Norm2 {
  static constexpr bool kAdds = true, kSums = false;
  using In = T;
  using Acc = double;
  using Out = NormOut<T>;
  ATLED_FN Acc identity() const { return 0; }
  ATLED_FN Acc load(In x) const {
    if constexpr (is_complex_type<T>) {
      const double a = x.real(), b = x.imag();
      return a * a + b * b;
    } else {
      const double a = static_cast<double>(x);
      return a * a;
    }
  }
  ATLED_FN Acc combine(Acc a, Acc b) const { return a + b; }
  ATLED_FN Out finish(Acc a) const { return Out(std::sqrt(a)); }
};
template <class T>
struct Norm1 : Norm2<T> {
  using Out = NormOut<T>;
  ATLED_FN double load(T x) const { return size_of(x); }
  ATLED_FN Out finish(double a) const { return Out(a); }
};
template <class T>
struct NormP : Norm2<T> {
  using Out = NormOut<T>;
  double p;
  explicit NormP(double power = 2) : p(power) {}
  ATLED_FN double load(T x) const { return std::pow(size_of(x), p); }
  ATLED_FN Out finish(double a) const { return Out(std::pow(a, 1 / p)); }
};
template <class T>
struct Norm0 : Norm1<T> {
  ATLED_FN double load(T x) const { return is_true<T>(x); }
};
template <class T>
struct NormMax : Norm1<T> {
  static constexpr bool kAdds = false;
  ATLED_FN double combine(double a, double b) const { return Maximum{}(a, b); }
};
template <class T>
struct NormMin : Norm1<T> {
  static constexpr bool kAdds = false;
  ATLED_FN double identity() const { return std::numeric_limits<double>::infinity(); }
  ATLED_FN double combine(double a, double b) const { return Minimum{}(a, b); }
};

}  // namespace atled::core
