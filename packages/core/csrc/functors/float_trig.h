// Tangent, inverse trigonometric and hyperbolic functions of float, computed in double without branches or tables, so
// that loops over them become vector code: what shows is the last rounding. See float_math.h; tests/test_float_math.py
// checks these, too.
#pragma once

#include <cmath>

#include "functors/double_math.h"
#include "functors/float_math.h"

namespace atled::core::fmath {

constexpr double kHalfPi = 1.57079632679489661923;

// magnitude must not be negative.
ATLED_FN double with_sign(double magnitude, float sign) {
  return bits_to_double(double_to_bits(magnitude) | static_cast<uint64_t>(float_to_bits(sign) & 0x80000000u) << 32);
}

// For |x| <= kTrigLimit.
ATLED_FN float tan(float x) {
  const double d = x, n = (d * 0.63661977236758134308 + kShift) - kShift;
  const double r = (d - n * 1.57079632673412561417e+00) - n * 6.07710050650619224932e-11, u = r * r;
  double s = 2.7169681846876398e-06 * u - 0.00019839161314297036;
  s = r * (((s * u + 0.0083333286468826248) * u - 0.1666666663019396) * u + 0.99999999999545741);
  double c = -2.7169654531563946e-07 * u + 2.4798876134548719e-05;
  c = (((c * u - 0.0013888880140242477) * u + 0.04166666653900189) * u - 0.49999999999318473) * u + 0.99999999999994094;
  const bool odd = static_cast<int32_t>(n) & 1;
  const float y = static_cast<float>((odd ? -c : s) / (odd ? s : c));
  return x == 0.0f ? x : y;
}

// atan(t) for 0 <= t <= 1.
ATLED_FN double atan_below_one(double t) {
  const double u = t * t;
  double p = 0.0004301645793020727 * u - 0.003261484764516355;
  p = (((p * u + 0.011602319951634859) * u - 0.026271569438631574) * u + 0.043902863790071953) * u -
      0.060385481440374665;
  p = (((p * u + 0.075022312400997784) * u - 0.090511372168449733) * u + 0.11105656183687121) * u - 0.14285262491876288;
  return t * (((p * u + 0.19999980353654911) * u - 0.33333332995050402) * u + 0.99999999999029132);
}
ATLED_FN float atan(float x) {
  const double a = absolute(static_cast<double>(x));
  const bool large = a > 1.0;
  const double r = atan_below_one(large ? 1.0 / a : a);
  const float y = static_cast<float>(with_sign(large ? kHalfPi - r : r, x));
  return x != x ? x : y;
}
ATLED_FN float atan2(float y, float x) {
  const double a = absolute(static_cast<double>(y)), b = absolute(static_cast<double>(x));
  const bool steep = a > b;
  const double low = steep ? b : a, high = steep ? a : b;
  // Both zero: 0. Both infinite: one eighth of a turn.
  const double t = low == high ? (high == 0.0 ? 0.0 : 1.0) : low / high;
  double r = atan_below_one(t);
  r = steep ? kHalfPi - r : r;
  r = float_to_bits(x) >> 31 ? 2.0 * kHalfPi - r : r;
  const float z = static_cast<float>(with_sign(r, y));
  return x != x || y != y ? x + y : z;
}

// asin(r) / r for u = r^2 <= 1/4.
ATLED_FN double asin_ratio(double u) {
  double p = 0.033081179857254041 * u + 0.0017925119725987326;
  p = (((p * u + 0.020731110646738684) * u + 0.02184526657647436) * u + 0.030429339144586738) * u + 0.0446404876140825;
  return ((p * u + 0.075000058945724687) * u + 0.16666666610467062) * u + 1.0000000000008791;
}
// Beyond 1/2 by asin(a) = pi / 2 - 2 asin(sqrt((1 - a) / 2)); the root of what is beyond 1 is NaN.
ATLED_FN float asin(float x) {
  const double a = absolute(static_cast<double>(x));
  const bool large = a > 0.5;
  const double u = large ? (1.0 - a) * 0.5 : a * a;
  const double r = (large ? std::sqrt(u) : a) * asin_ratio(u);
  const float y = static_cast<float>(with_sign(large ? kHalfPi - 2.0 * r : r, x));
  return a <= 1.0 ? y : bits_to_float(0x7fc00000u);
}
ATLED_FN float acos(float x) {
  const double d = x, a = absolute(d);
  const bool large = a > 0.5;
  const double u = large ? (1.0 - a) * 0.5 : a * a;
  const double r = (large ? std::sqrt(u) : d) * asin_ratio(u);
  const double far = d < 0.0 ? 2.0 * kHalfPi - 2.0 * r : 2.0 * r;
  return a <= 1.0 ? static_cast<float>(large ? far : kHalfPi - r) : bits_to_float(0x7fc00000u);
}

ATLED_FN float sinh(float x) {
  const double a = absolute(static_cast<double>(x)), u = a * a;
  const double e = double_exp2(a * kDoubleLog2e);
  const double small = a + a * u * (1.0 / 6.0 + u * (1.0 / 120.0));
  const float y = static_cast<float>(with_sign(a < 0.0625 ? small : 0.5 * (e - 1.0 / e), x));
  return x != x ? x : y;
}
ATLED_FN float cosh(float x) {
  const double e = double_exp2(absolute(static_cast<double>(x)) * kDoubleLog2e);
  return x != x ? x : static_cast<float>(0.5 * (e + 1.0 / e));
}

// log(x) for positive normal x.
ATLED_FN double double_log(double x) {
  const uint64_t bits = double_to_bits(x) - 0x3fe6a09e667f3bcdu;  // of sqrt(1/2)
  const double m = bits_to_double((bits & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu);
  const double k = static_cast<double>(static_cast<int32_t>(static_cast<uint32_t>(bits >> 32)) >> 20);
  const double t = (m - 1.0) / (m + 1.0), u = t * t;
  double p = 0.19622408098975563 * u + 0.22173292122175337;
  p = (((p * u + 0.28572188329648285) * u + 0.39999994685070567) * u + 0.66666666680241216) * u + 1.999999999999944;
  return k * 0.69314718055994530942 + t * p;
}

// By their logarithms; near 0 by their series, for what the logarithm's argument has lost there.
ATLED_FN float asinh(float x) {
  const double a = absolute(static_cast<double>(x)), u = a * a;
  const double small = a - a * u * (1.0 / 6.0 - u * (3.0 / 40.0));
  const float y = static_cast<float>(with_sign(a < 0.03 ? small : double_log(a + std::sqrt(u + 1.0)), x));
  return a - a == 0.0 ? y : x;
}
ATLED_FN float acosh(float x) {
  const double d = x;
  const float y = static_cast<float>(double_log(d + std::sqrt(d * d - 1.0)));
  return x >= 1.0f ? (x == kInfinity ? x : y) : bits_to_float(0x7fc00000u);
}
ATLED_FN float atanh(float x) {
  const double a = absolute(static_cast<double>(x)), u = a * a;
  const double small = a + a * u * (1.0 / 3.0 + u * (1.0 / 5.0 + u * (1.0 / 7.0)));
  const float y = static_cast<float>(with_sign(a < 0.03 ? small : 0.5 * double_log((1.0 + a) / (1.0 - a)), x));
  const float end = with_sign(kInfinity, x);
  return a < 1.0 ? y : (a == 1.0 ? end : bits_to_float(0x7fc00000u));
}
// In double, where no square over- or underflows.
ATLED_FN float hypot(float x, float y) {
  const double a = x, b = y;
  const bool infinite = (absolute(x) == kInfinity) | (absolute(y) == kInfinity);
  return infinite ? kInfinity : static_cast<float>(std::sqrt(a * a + b * b));
}

}  // namespace atled::core::fmath
