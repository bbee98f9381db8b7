// Arithmetic on one element. Integers wrap modulo 2^n: their functors are instantiated for unsigned types where that
// matters.
#pragma once

#include <cmath>
#include <complex>
#include <limits>
#include <type_traits>

#include "functors/copy.h"
#include "functors/float_math.h"

namespace atled::core {

struct Add {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return static_cast<T>(a + b);
  }
};
struct Sub {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return static_cast<T>(a - b);
  }
};
struct Mul {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    if constexpr (is_complex_type<T>) {
      // By hand: the library's product looks for infinities in a way that no compiler vectorises.
      return T(a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real());
    } else if constexpr (sizeof(T) < 4) {
      return static_cast<T>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
    } else {
      return static_cast<T>(a * b);
    }
  }
};
// a + scale * b
template <class T>
struct AddScaled {
  T scale;
  ATLED_FN T operator()(T a, T b) const { return Add{}(a, Mul{}(scale, b)); }
};
struct Div {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return a / b;
  }
};

// Integer division tells of a zero divisor through `zero`, which the kernel turns into an error.
struct IntegerDivision {
  bool* zero;

  // True when b can divide; b is -1 only in the branch that cannot overflow.
  template <class T>
  ATLED_FN bool divides(T b) const {
    if (b != 0) return true;
    *zero = true;
    return false;
  }
  template <class T>
  static ATLED_FN bool is_minus_one(T b) {
    return std::is_signed_v<T> && b == static_cast<T>(-1);
  }
  template <class T>
  static ATLED_FN T negate(T a) {
    return static_cast<T>(std::make_unsigned_t<T>(0) - static_cast<std::make_unsigned_t<T>>(a));
  }
};

struct TruncDivide : IntegerDivision {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    if (!divides(b)) return 0;
    return is_minus_one(b) ? negate(a) : static_cast<T>(a / b);
  }
};
struct FloorDivide : IntegerDivision {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    if (!divides(b)) return 0;
    if (is_minus_one(b)) return negate(a);
    const T q = static_cast<T>(a / b);
    return static_cast<T>(q - ((a % b != 0) && ((a < 0) != (b < 0))));
  }
};
struct Remainder : IntegerDivision {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    if (!divides(b) || is_minus_one(b)) return 0;
    const T r = static_cast<T>(a % b);
    return r != 0 && ((r < 0) != (b < 0)) ? static_cast<T>(r + b) : r;
  }
};
struct Fmod : IntegerDivision {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return !divides(b) || is_minus_one(b) ? T(0) : static_cast<T>(a % b);
  }
};

struct FloatTruncDivide {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return std::trunc(a / b);
  }
};
// Python's floor division: the quotient that goes with the remainder, exact where a / b rounds.
struct FloatFloorDivide {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return b == 0 ? a / b : of(a, b, std::fmod(a, b));
  }
  // r = fmod(a, b)
  template <class T>
  static ATLED_FN T of(T a, T b, T r) {
    const T exact = (a - r) / b, q = r != 0 && (b < 0) != (r < 0) ? exact - T(1) : exact;
    const T f = std::floor(q), whole = q - f > T(0.5) ? f + T(1) : f;
    return q == 0 ? std::copysign(T(0), a / b) : whole;
  }
};
struct FloatRemainder {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return of(a, b, std::fmod(a, b));
  }
  template <class T>
  static ATLED_FN T of(T, T b, T r) {
    const T moved = (r < 0) != (b < 0) ? r + b : r;
    return r == 0 ? std::copysign(T(0), b) : moved;
  }
};
struct FloatFmod {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return std::fmod(a, b);
  }
  template <class T>
  static ATLED_FN T of(T, T, T r) {
    return r;
  }
};
// The same of float by a quotient in double, exact where that is below 2^24: then a / b is no nearer to a whole number
// than double can tell, and neither the product nor the difference rounds.
template <class F>
struct QuickDivision {
  static ATLED_FN bool fast(float a, float b) {
    const double size = std::fabs(static_cast<double>(b));
    return (std::fabs(static_cast<double>(a)) < size * 16777216.0) & (size < 1e300);
  }
  static ATLED_FN float slow(float a, float b) { return F{}(a, b); }
  ATLED_FN float operator()(float a, float b) const {
    const double x = a, y = b;
    const double whole = static_cast<double>(static_cast<int32_t>(x / y));
    return F::of(a, b, std::copysign(static_cast<float>(x - whole * y), a));
  }
};

// By squaring, modulo 2^n; a negative exponent gives what truncation leaves of 1 / a^-b.
struct IntegerPow {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    if constexpr (std::is_signed_v<T>) {
      if (b < 0) return a == 1 ? T(1) : a == T(-1) ? (b & 1 ? T(-1) : T(1)) : T(0);
    }
    uint64_t result = 1, base = static_cast<uint64_t>(a);
    for (auto e = static_cast<std::make_unsigned_t<T>>(b); e; e = static_cast<decltype(e)>(e >> 1)) {
      if (e & 1) result *= base;
      base *= base;
    }
    return static_cast<T>(result);
  }
};
struct FloatPow {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    if constexpr (is_complex_type<T>)
      if (b == T(0)) return T(1);  // the library answers NaN for 0 ** 0
    return std::pow(a, b);
  }
};

// Positive bases and finite exponents by float_math.h; the library knows the other cases.
struct FastPow {
  static ATLED_FN bool fast(float a, float b) {
    return (a > 0.0f) & (a <= std::numeric_limits<float>::max()) & (b - b == 0.0f);
  }
  static ATLED_FN float slow(float a, float b) { return std::pow(a, b); }
  ATLED_FN float operator()(float a, float b) const { return fmath::positive_pow(a, b); }
};

struct Neg {
  template <class T>
  ATLED_FN T operator()(T a) const {
    return static_cast<T>(-a);
  }
};
struct Positive {
  template <class T>
  ATLED_FN T operator()(T a) const {
    return a;
  }
};
struct Abs {
  template <class T>
  ATLED_FN T operator()(T a) const {
    if constexpr (std::is_floating_point_v<T>) {
      return std::fabs(a);
    } else if constexpr (std::is_signed_v<T>) {
      return a < 0 ? IntegerDivision::negate(a) : a;
    } else {
      return a;
    }
  }
  template <class T>
  ATLED_FN T operator()(std::complex<T> a) const {
    return std::hypot(a.real(), a.imag());
  }
};
struct Sign {
  template <class T>
  ATLED_FN T operator()(T a) const {
    if constexpr (std::is_floating_point_v<T>) {
      return a > 0 ? T(1) : a < 0 ? T(-1) : a + T(0);  // NaN stays, -0 becomes 0
    } else {
      return static_cast<T>((a > T(0)) - (a < T(0)));
    }
  }
  template <class T>
  ATLED_FN std::complex<T> operator()(std::complex<T> a) const {
    const T size = std::hypot(a.real(), a.imag());
    return size == 0 ? std::complex<T>() : std::complex<T>(a.real() / size, a.imag() / size);
  }
};
struct Square {
  template <class T>
  ATLED_FN T operator()(T a) const {
    return Mul{}(a, a);
  }
};
struct Cube {
  template <class T>
  ATLED_FN T operator()(T a) const {
    return a * a * a;
  }
};
// x ** 0.5, which is no NaN where x is -infinity, and 0 where x is -0.
struct SquareRootPower {
  template <class T>
  ATLED_FN T operator()(T a) const {
    constexpr T kInfinity = std::numeric_limits<T>::infinity();
    return a == -kInfinity ? kInfinity : std::sqrt(a + T(0));
  }
};
struct Reciprocal {
  template <class T>
  ATLED_FN T operator()(T a) const {
    return T(1) / a;
  }
};
struct Maximum {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) {
      return ((a > b) | (a != a)) ? a : b;  // a NaN on either side is the result
    } else {
      return a > b ? a : b;
    }
  }
};
struct Minimum {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) {
      return ((a < b) | (a != a)) ? a : b;
    } else {
      return a < b ? a : b;
    }
  }
};
// start + weight * (end - start), from the nearer end so that weight 1 gives `end` exactly.
struct Lerp {
  template <class T>
  ATLED_FN T operator()(T start, T end, T weight) const {
    const T d = end - start;
    if constexpr (is_complex_type<T>) {
      return start + Mul{}(weight, d);
    } else {
      return weight < T(0.5) && weight > T(-0.5) ? start + weight * d : end - d * (T(1) - weight);
    }
  }
};
// input + value * a * b
template <class T>
struct Addcmul {
  T value;
  ATLED_FN T operator()(T input, T a, T b) const { return Add{}(input, Mul{}(Mul{}(value, a), b)); }
};
// input + value * a / b
template <class T>
struct Addcdiv {
  T value;
  ATLED_FN T operator()(T input, T a, T b) const { return Add{}(input, Mul{}(value, a / b)); }
};

}  // namespace atled::core
