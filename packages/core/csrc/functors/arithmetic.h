// Arithmetic on one element. Integers wrap modulo 2^n: their functors are instantiated for unsigned types where that
// matters.
#pragma once

#include <cmath>
#include <complex>
#include <cstdint>
#include <cstring>
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
      // By hand: the library's product looks for infinities in a way that no compiler vectorises. Two sums, since of a
      // difference beside a sum GCC 12 makes fused instructions, whatever -ffp-contract says, but not of what is left
      // over at the end of a loop.
      return T(a.real() * b.real() + a.imag() * -b.imag(), a.real() * b.imag() + a.imag() * b.real());
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

// The quotient of finite complex numbers, of float in double, where nothing over- or underflows; of double as in Smith
// 1962, "Algorithm 116: Complex division". The others are the library's: infinities and zeros as C's Annex G has them,
// but NaN beside an infinity where a divisor below 1e-290 makes the quotient overflow.
struct QuickComplexDivision {
  static ATLED_FN bool fast(std::complex<float> a, std::complex<float> b) {
    const float sum = (a.real() + a.imag()) * 0.0f + (b.real() + b.imag()) * 0.0f;
    return (sum == 0.0f) & ((b.real() != 0.0f) | (b.imag() != 0.0f));
  }
  ATLED_FN std::complex<float> operator()(std::complex<float> a, std::complex<float> b) const {
    const double x = a.real(), y = a.imag(), c = b.real(), d = b.imag(), scale = 1.0 / (c * c + d * d);
    return {static_cast<float>((x * c + y * d) * scale), static_cast<float>((y * c + x * -d) * scale)};
  }
  static ATLED_FN bool fast(std::complex<double> a, std::complex<double> b) {
    const double x = std::fabs(a.real()), y = std::fabs(a.imag()), c = std::fabs(b.real()), d = std::fabs(b.imag());
    const double high = c < d ? d : c, low = c < d ? c : d;
    return (x <= 1e300) & (y <= 1e300) & (high <= 1e300) & (high >= 1e-290) & ((low == 0) | (low >= high * 1e-290));
  }
  ATLED_FN std::complex<double> operator()(std::complex<double> a, std::complex<double> b) const {
    const bool turned = std::fabs(b.real()) < std::fabs(b.imag());  // by i, both
    const double c = turned ? b.imag() : b.real(), d = turned ? -b.real() : b.imag();
    const double x = turned ? a.imag() : a.real(), y = turned ? -a.real() : a.imag();
    const double ratio = d / c, scale = c + d * ratio;
    return {(x + y * ratio) / scale, (y + x * -ratio) / scale};
  }
  template <class T>
  static ATLED_FN std::complex<T> slow(std::complex<T> a, std::complex<T> b) {
    return a / b;
  }
};
struct QuickComplexReciprocal {
  using F = QuickComplexDivision;
  template <class T>
  static ATLED_FN bool fast(T x) {
    return F::fast(T(1), x);
  }
  template <class T>
  static ATLED_FN T slow(T x) {
    return T(1) / x;
  }
  template <class T>
  ATLED_FN T operator()(T x) const {
    return F{}(T(1), x);
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
// A number's leading 26 digits; what they leave has 27.
ATLED_FN double leading_half(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits &= ~uint64_t{0x7ffffff};
  memcpy(&x, &bits, sizeof x);
  return x;
}
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
  // Of double by the nearest whole number to the quotient, below 2^24: its products with the halves of b are exact, and
  // so are both differences, whose digits are all between b's last and its first.
  static ATLED_FN bool fast(double a, double b) {
    return (std::fabs(a) < std::fabs(b) * 16777216.0) & (std::fabs(b) < 1e300);
  }
  static ATLED_FN double slow(double a, double b) { return F{}(a, b); }
  ATLED_FN double operator()(double a, double b) const {
    constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52
    const double n = (a / b + kShift) - kShift, high = leading_half(b);
    const double r = (a - n * high) - n * (b - high);
    const double behind = (r < 0) != (a < 0) && r != 0 ? std::copysign(b, a) : 0.0;
    return F::of(a, b, std::copysign(r + behind, a));
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
// Of float16's or bfloat16's bits.
struct HalfNeg {
  ATLED_FN uint16_t operator()(uint16_t x) const { return static_cast<uint16_t>(x ^ 0x8000u); }
};
struct HalfAbs {
  ATLED_FN uint16_t operator()(uint16_t x) const { return static_cast<uint16_t>(x & 0x7fffu); }
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
