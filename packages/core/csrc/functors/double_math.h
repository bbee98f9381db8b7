// Elementary functions of double, without branches or tables as float_math.h has them, and without conversions to
// integers, which vectors have only at the highest level. They are within 1 ulp of the exact value where nothing else
// is said; tests/test_double_math.py checks it.
//
// Arguments are reduced in parts (Cody and Waite 1980, "Software Manual for the Elementary Functions"); logarithms by
// s = f / (2 + f), as in Ng's of fdlibm (1993). The polynomials are near-minimax fits made for these intervals.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "functors/inline.h"

namespace atled::core::fmath {

ATLED_FN uint64_t double_to_bits(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
ATLED_FN double bits_to_double(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
ATLED_FN double absolute(double x) { return bits_to_double(double_to_bits(x) & 0x7fffffffffffffffu); }
// magnitude must not be negative.
ATLED_FN double with_sign(double magnitude, double sign) {
  return bits_to_double(double_to_bits(magnitude) | (double_to_bits(sign) & 0x8000000000000000u));
}
ATLED_FN double clamped(double x, double low, double high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52: adding and taking it away rounds to an integer
constexpr double kDoubleLog2e = 1.44269504088896340736;
// ln 2 in two parts: products of the first with integers below 2^11 are exact.
constexpr double kLogHigh = 0.6931471805598903, kLogLow = 5.497923018708371e-14;
constexpr double kHuge = std::numeric_limits<double>::infinity(), kNoNumber = std::numeric_limits<double>::quiet_NaN();

struct Whole {
  double f;
  uint64_t n;  // the same, modulo 2^64
};
ATLED_FN Whole whole(double x) {
  const double shifted = x + kShift;
  return {shifted - kShift, double_to_bits(shifted) - double_to_bits(kShift)};
}
ATLED_FN double power_of_2(uint64_t n) { return bits_to_double((n + 1023) << 52); }
// p * 2^n for -2000 < n < 2000, rounding once.
ATLED_FN double scaled(double p, uint64_t n) {
  const uint64_t half = ((n + 2048) >> 1) - 1024;
  return p * power_of_2(half) * power_of_2(n - half);
}

// x = k ln(2) + r, and exp(r) - 1 - r with what r lost by rounding.
struct ExpParts {
  Whole k;
  double r, rest;
};
ATLED_FN ExpParts exp_parts(double x) {
  const Whole k = whole(x * kDoubleLog2e);
  const double high = x - k.f * kLogHigh, low = k.f * kLogLow, r = high - low;
  double q = 2.510038549551032e-08 * r + 2.7620088445409746e-07;
  q = (((q * r + 2.7557268459997064e-06) * r + 2.4801521295954376e-05) * r + 0.00019841269863053618) * r +
      0.0013888888917213717;
  q = (((q * r + 0.008333333333330062) * r + 0.04166666666662413) * r + 0.16666666666666669) * r + 0.5000000000000001;
  return {k, r, r * r * q + ((high - r) - low)};
}
// 2^-kLess exp(x), where exp(x) itself may be too large.
template <int kLess>
ATLED_FN double exp_scaled(double x) {
  const ExpParts p = exp_parts(clamped(x, -746.0, 711.0));
  return scaled(1.0 + (p.rest + p.r), p.k.n - kLess);
}
ATLED_FN double exp(double x) { return exp_scaled<0>(x); }

// Within 1.5 ulp.
ATLED_FN double exp2(double x) {
  x = clamped(x, -1076.0, 1025.0);
  const Whole k = whole(x);
  const double r = x - k.f;
  double q = 4.4541068401718915e-10 * r + 7.070984300546448e-09;
  q = (((q * r + 1.0178067252442298e-07) * r + 1.321545160506755e-06) * r + 1.5252733820815906e-05) * r +
      0.0001540353042481424;
  q = (((q * r + 0.0013333558146423204) * r + 0.00961812910761865) * r + 0.05550410866482158) * r + 0.24022650695910075;
  return scaled(1.0 + (r * r * q + r * 0.69314718055994530942), k.n);
}

// 2^k (expm1(r) + 1) - 1, arranged so that nothing cancels. Within 1.5 ulp.
ATLED_FN double expm1(double x) {
  const ExpParts p = exp_parts(clamped(x, -40.0, 710.0));
  // One half less, so that 2^1024 does not overflow before its time.
  const double half = power_of_2(p.k.n - 1);
  const double result = p.k.f == 0.0 ? p.r + p.rest : 2.0 * ((half * p.r + (half - 0.5)) + half * p.rest);
  return x == 0.0 ? x : result;
}

// x = (1 + f) 2^k with 1 + f in [sqrt(1/2), sqrt(2)), for positive normal x.
struct Parted {
  double f, k;
};
ATLED_FN Parted parted(double x) {
  constexpr uint64_t kRoot = 0x3fe6a09e667f3bcdu, kAway = 2048;  // of sqrt(1/2)
  const uint64_t bits = double_to_bits(x) - kRoot;
  const double m = bits_to_double((bits & 0x000fffffffffffffu) + kRoot);
  // k + 2048 as the last digits of a number from 2^52 on, which becomes k without a conversion.
  const uint64_t k = ((bits + (kAway / 2 << 52)) >> 52) | 0x4330000000000000u;
  return {m - 1.0, bits_to_double(k) - (4503599627370496.0 + kAway / 2)};
}
ATLED_FN Parted any_parted(double x) {
  const bool tiny = x < 2.2250738585072014e-308;
  const Parted p = parted(tiny ? x * 18014398509481984.0 : x);
  return {p.f, tiny ? p.k - 54.0 : p.k};
}
// log(1 + f) - f + f^2 / 2
ATLED_FN double log_rest(double f) {
  const double s = f / (2.0 + f), z = s * s;
  double p = 0.14616585424888623 * z + 0.15331710618210773;
  p = (((p * z + 0.18182889455674947) * z + 0.22222211130259878) * z + 0.2857142862600327) * z + 0.39999999999899444;
  return s * (0.5 * f * f + z * (p * z + 0.666666666666667));
}
// What a logarithm is where any_parted does not hold: 0, infinity, below 0, NaN.
ATLED_FN double log_ends(double x, double result) {
  result = x == kHuge ? x : result;
  result = x == 0.0 ? -kHuge : result;
  return x >= 0.0 ? result : kNoNumber;
}
ATLED_FN double log(double x) {
  const Parted p = any_parted(x);
  const double rest = log_rest(p.f) + p.k * kLogLow;
  return log_ends(x, p.k * kLogHigh - ((0.5 * p.f * p.f - rest) - p.f));
}
// log(1 + x) by the logarithm of u = 1 + x, corrected for what the sum lost.
ATLED_FN double log1p(double x) {
  const double u = 1.0 + x;
  const Parted p = parted(u);
  const bool itself = p.k == 0.0;
  const double lost = absolute(x) > 1.0 ? 1.0 - (u - x) : x - (u - 1.0);
  const double f = itself ? x : p.f, c = itself ? 0.0 : lost / u;
  const double rest = log_rest(f) + (p.k * kLogLow + c);
  double result = p.k * kLogHigh - ((0.5 * f * f - rest) - f);
  result = absolute(x) < 1e-20 ? x : result;
  result = x == kHuge ? x : result;
  result = x == -1.0 ? -kHuge : result;
  return x >= -1.0 ? result : kNoNumber;
}
// log(x / (1 - x)), of the smaller of both by the larger; around 1/2, where that is near 1, of 1 + q, whose q is exact
// but for one rounding. Within 2 ulp.
ATLED_FN double logit(double x) {
  const double y = 1.0 - x, low = x < y ? x : y, high = x < y ? y : x;
  const bool close = low >= 0.25;
  const double q = (close ? 1.0 - 2.0 * low : low) / (close ? low : high), u = close ? 1.0 + q : q;
  const Parted p = any_parted(u);
  const bool itself = close & (p.k == 0.0);
  // What u lost by rounding, and about that over u.
  const double lost = q > 1.0 ? 1.0 - (u - q) : q - (u - 1.0);
  const double f = itself ? q : p.f, c = (close & (p.k != 0.0)) ? lost * (0.97 - q * (0.7 - q * 0.19)) : 0.0;
  const double rest = log_rest(f) + (p.k * kLogLow + c);
  const double result = log_ends(u, p.k * kLogHigh - ((0.5 * f * f - rest) - f));
  return close == (x < y) ? -result : result;
}
// log(1 + f) / log(b) + k * (a + a2), where 1 / log(b) = e + e2 and the first parts leave room for exact products.
ATLED_FN double log_to_base(const Parted& p, double e, double e2, double a, double a2) {
  const double square = 0.5 * p.f * p.f;
  const double high = bits_to_double(double_to_bits(p.f - square) & 0xffffffff00000000u);
  const double low = ((p.f - high) - square) + log_rest(p.f);
  const double top = high * e, base = p.k * a, sum = base + top;
  return sum + (((base - sum) + top) + ((low + high) * e2 + low * e + p.k * a2));
}
ATLED_FN double log2(double x) {
  const Parted p = any_parted(x);
  return log_ends(x, log_to_base(p, 1.4426946640014648, 3.768874985636099e-07, 1.0, 0.0));
}
ATLED_FN double log10(double x) {
  const Parted p = any_parted(x);
  return log_ends(
      x, log_to_base(p, 0.4342944622039795, 1.9699272335463627e-08, 0.30102999566395283, 2.8363394551044964e-14));
}

// Within 2.5 ulp.
ATLED_FN double sigmoid(double x) {
  const double a = absolute(x);
  const ExpParts p = exp_parts(a > 746.0 ? -746.0 : -a);
  // 2^54 more, which makes a power with a normal exponent of every one that occurs.
  const double e = (1.0 + (p.rest + p.r)) * power_of_2(p.k.n + 54) * 5.551115123125783e-17;
  return (x < 0.0 ? e : 1.0) / (1.0 + e);
}
// By t = exp(2 |x|) - 1, within 3 ulp.
ATLED_FN double tanh(double x) {
  const double t = expm1(2.0 * clamped(absolute(x), 0.0, 22.0)), y = with_sign(t / (t + 2.0), x);
  return absolute(x) < 1e-20 ? x : x != x ? x : y;
}
// Within 3 ulp.
ATLED_FN double sinh(double x) {
  const double a = absolute(x);
  const ExpParts p = exp_parts(a > 711.0 ? 711.0 : a);
  const double eighth = power_of_2(p.k.n - 3);  // for exp(711) overflows
  // (exp(a) - 1) / 8
  const double t = p.k.f == 0.0 ? 0.125 * (p.r + p.rest) : (eighth * p.r + (eighth - 0.125)) + eighth * p.rest;
  const double y = 4.0 * t + t / (2.0 * t + 0.25);
  return a < 1e-20 ? x : x != x ? x : with_sign(y, x);
}
// Within 1.5 ulp.
ATLED_FN double cosh(double x) {
  const double half = exp_scaled<1>(absolute(x));
  return x != x ? x : half + 0.25 / half;
}

// The inverse hyperbolic functions are logarithms of 1 + y, for a y that loses no digits. Within 2.5 ulp.
ATLED_FN double asinh(double x) {
  const double a = absolute(x);
  const bool large = a > 1e20;  // where sqrt(1 + a^2) is a
  const double b = large ? 1.0 : a, y = log1p(large ? a : b + b * b / (1.0 + std::sqrt(1.0 + b * b)));
  return x != x ? x : with_sign(large ? y + 0.69314718055994530942 : y, x);
}
ATLED_FN double acosh(double x) {
  const double t = x - 1.0;
  const bool large = x > 1e20;
  const double b = large ? 1.0 : t, y = log1p(large ? t : b + std::sqrt(b * (b + 2.0)));
  return x >= 1.0 ? (large ? y + 0.69314718055994530942 : y) : kNoNumber;
}
ATLED_FN double atanh(double x) {
  const double a = absolute(x), twice = a + a, q = (a < 0.5 ? twice * a : twice) / (1.0 - a);
  const double y = 0.5 * log1p(a < 0.5 ? twice + q : q);
  return a < 1.0 ? with_sign(y, x) : (a == 1.0 ? with_sign(kHuge, x) : kNoNumber);
}
// Without over- and underflow; the root is corrected by what its square is off (Borges 2020, "An Improved Algorithm for
// hypot(a, b)"). Within 1 ulp.
ATLED_FN double hypot(double x, double y) {
  const double a = absolute(x), b = absolute(y), large = a < b ? b : a, small = a < b ? a : b;
  const double scale = large > 1e150 ? 0x1p-600 : (large < 1e-140 ? 0x1p600 : 1.0);
  const double high = large * scale, low = small * scale, root = std::sqrt(high * high + low * low);
  const double near = root - low, far = root - high;
  const bool alike = root <= 2.0 * low;
  const double first = alike ? high * (2.0 * near - high) : 2.0 * far * (high - 2.0 * low);
  const double second = alike ? (near - 2.0 * (high - low)) * near : (4.0 * far - low) * low + far * far;
  const double better = root - (first + second) / (2.0 * root);
  const double result = (large == 0.0 ? 0.0 : better) * (large > 1e150 ? 0x1p600 : (large < 1e-140 ? 0x1p-600 : 1.0));
  const bool infinite = (a == kHuge) | (b == kHuge);
  return infinite ? kHuge : (x != x ? x : (y != y ? y : result));
}

// For |x| <= kTrigLimit of float_math.h: x - q pi / 2 as high + low. Parts of pi / 2 of 33 bits have exact products
// with q; the last one is as exact as a double. No double below the limit is nearer than 2^-62 to a multiple of pi / 2,
// so that what is left has its 53 bits.
struct Turned {
  double high, low;
  uint64_t q;
};
ATLED_FN Turned turned(double x) {
  const Whole k = whole(x * 0.6366197723675814);
  const double a = x - k.f * 1.5707963267341256, w = k.f * 6.077100506303966e-11;
  const double b = a - w, lost = (a - b) - w;
  const double w2 = k.f * 2.0222662487111665e-21 - lost, c = b - w2;
  return {c, ((b - c) - w2) - k.f * 8.4784276603689e-32, k.n};
}
// sin(r) and cos(r) for a Turned r, |r| <= pi / 4.
ATLED_FN double sin_part(const Turned& r) {
  const double x = r.high, u = x * x, v = u * x;
  double p = 1.5917848524808262e-10 * u - 2.5051127944014188e-08;
  p = ((p * u + 2.755731608381636e-06) * u - 0.00019841269836722418) * u + 0.008333333333330925;
  return x - ((u * (0.5 * r.low - v * p) - r.low) + v * 0.16666666666666666);
}
ATLED_FN double cos_part(const Turned& r) {
  const double x = r.high, u = x * x, half = 0.5 * u, w = 1.0 - half;
  double p = -1.1382456778061306e-11 * u + 2.0876143827993133e-09;
  p = (((p * u - 2.7557317260008837e-07) * u + 2.480158729874307e-05) * u - 0.0013888888888887382) * u +
      0.041666666666666664;
  return w + (((1.0 - w) - half) + (u * u * p - x * r.low));
}
// a where bit 0 of q is 0, b where it is 1; the sign changed where bit 1 of q is 1.
ATLED_FN double of_quadrant(uint64_t q, double a, double b) {
  const uint64_t other = 0 - (q & 1), sign = (q & 2) << 62;
  return bits_to_double(((double_to_bits(a) & ~other) | (double_to_bits(b) & other)) ^ sign);
}
ATLED_FN double sin(double x) {
  const Turned r = turned(x);
  return x == 0.0 ? x : of_quadrant(r.q, sin_part(r), cos_part(r));
}
ATLED_FN double cos(double x) {
  const Turned r = turned(x);
  return of_quadrant(r.q + 1, sin_part(r), cos_part(r));
}
// Within 2.5 ulp.
ATLED_FN double tan(double x) {
  const Turned r = turned(x);
  const double s = sin_part(r), c = cos_part(r);
  const double y = of_quadrant(r.q & 1, s, -c) / of_quadrant(r.q & 1, c, s);
  return x == 0.0 ? x : y;
}

// pi / 2 and what it lacks.
constexpr double kQuarterTurn = 1.57079632679489661923, kQuarterLow = 6.123233995736766e-17;

// atan(low / high) for 0 <= low <= high, both infinite or 0 as well; beyond tan(pi / 8) as the distance from pi / 4.
ATLED_FN double angle(double low, double high) {
  // By 2^-64 or 2^64: their sum must not overflow, nor a product round to few digits.
  const double scale = high > 1e300 ? 5.42101086242752217004e-20 : (high < 1e-280 ? 18446744073709551616.0 : 1.0);
  const double a = low * scale, b = high * scale;
  const bool steep = a > 0.4142135623730951 * b, equal = a == b;
  const double s = equal ? 0.0 : (steep ? a - b : a) / (steep ? a + b : b), u = s * s;
  double p = -0.019162068915902573 * u + 0.03921955253255129;
  p = (((p * u - 0.05085030492810941) * u + 0.058580687568615106) * u - 0.06664502215671447) * u + 0.07692182535116648;
  p = (((p * u - 0.09090904549884611) * u + 0.11111111014561013) * u - 0.14285714284657894) * u + 0.1999999999999548;
  const double r = s + s * u * (p * u - 0.3333333333333333);
  return steep ? 0.5 * kQuarterTurn + (r + 0.5 * kQuarterLow) : (equal && high > 0.0 ? 0.5 * kQuarterTurn : r);
}
// Within 2.5 ulp.
ATLED_FN double atan(double x) {
  const double a = absolute(x);
  const bool large = a > 1.0;
  const double r = angle(large ? 1.0 : a, large ? a : 1.0);
  return x != x || x == 0.0 ? x : with_sign(large ? kQuarterTurn - (r - kQuarterLow) : r, x);
}
// Within 2.5 ulp.
ATLED_FN double atan2(double y, double x) {
  const double a = absolute(y), b = absolute(x);
  const bool steep = a > b, behind = double_to_bits(x) >> 63 != 0;
  double r = angle(steep ? b : a, steep ? a : b);
  r = steep ? kQuarterTurn - (r - kQuarterLow) : r;
  r = behind ? 2.0 * kQuarterTurn - (r - 2.0 * kQuarterLow) : r;
  return x != x || y != y ? x + y : with_sign(r, y);
}

// asin(r) - r for u = r^2 <= 1/4.
ATLED_FN double asin_rest(double r, double u) {
  double p = 0.028187667142318098 * u - 0.010773195325585556;
  p = (((p * u + 0.01604912458494932) * u + 0.0077986264075622334) * u + 0.011876344296279416) * u +
      0.013929545950485803;
  p = (((p * u + 0.01735526856395352) * u + 0.022372047201808885) * u + 0.030381947379559158) * u + 0.04464285710323956;
  return r * u * ((p * u + 0.07500000000020869) * u + 0.1666666666666665);
}
// Beyond 1/2 by asin(a) = pi / 2 - 2 asin(sqrt((1 - a) / 2)). Within 3 ulp; acos within 2.
ATLED_FN double asin(double x) {
  const double a = absolute(x);
  const bool large = a > 0.5;
  const double u = large ? (1.0 - a) * 0.5 : a * a, r = large ? std::sqrt(u) : a, y = r + asin_rest(r, u);
  const double z = with_sign(large ? kQuarterTurn - (2.0 * y - kQuarterLow) : y, x);
  return a <= 1.0 ? z : kNoNumber;
}
ATLED_FN double acos(double x) {
  const double a = absolute(x);
  const bool large = a > 0.5;
  const double u = large ? (1.0 - a) * 0.5 : a * a, r = large ? std::sqrt(u) : x, rest = asin_rest(r, u);
  const double twice = 2.0 * (r + rest);
  const double far = x < 0.0 ? 2.0 * kQuarterTurn - (twice - 2.0 * kQuarterLow) : twice;
  return a <= 1.0 ? (large ? far : kQuarterTurn - (r + (rest - kQuarterLow))) : kNoNumber;
}

}  // namespace atled::core::fmath
