// Elementary functions of float without branches or tables, so that loops over them become vector code. All are within
// 2.5 ulp of the exact value over all floats, subnormals, infinities and NaN included; tests/test_float_math.py checks
// it.
//
// The polynomials are minimax fits of the named function, made for these intervals.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "functors/inline.h"

namespace atled::core::fmath {

constexpr float kLog2e = 1.44269504f;
// ln 2 in two parts: products of the first with integers below 2^15 are exact.
constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding and taking it away rounds to an integer
constexpr float kInfinity = std::numeric_limits<float>::infinity();

ATLED_FN float absolute(float x) { return bits_to_float(float_to_bits(x) & 0x7fffffffu); }
ATLED_FN float with_sign(float magnitude, float sign) {
  return bits_to_float(float_to_bits(magnitude) | (float_to_bits(sign) & 0x80000000u));
}
// NaN stays NaN.
ATLED_FN float clamped(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}
// p * 2^n for -280 < n < 255, rounding once.
ATLED_FN float scaled(float p, int32_t n) {
  const int32_t half = n >> 1;
  const float first = bits_to_float(static_cast<uint32_t>(half + 127) << 23);
  const float second = bits_to_float(static_cast<uint32_t>(n - half + 127) << 23);
  return p * first * second;
}

struct Rounded {
  float f;
  int32_t n;
};
ATLED_FN Rounded rounded(float x) {
  const float shifted = x + kRound;
  return {shifted - kRound, static_cast<int32_t>(float_to_bits(shifted) - float_to_bits(kRound))};
}

// exp(r) for |r| <= ln(2) / 2.
ATLED_FN float exp_near_zero(float r) {
  const float q = (((0.00138131424f * r + 0.00836941904f) * r + 0.0416684568f) * r + 0.166665148f) * r + 0.499999931f;
  return r * r * q + r + 1.0f;
}

ATLED_FN float exp(float x) {
  x = clamped(x, -104.0f, 89.0f);
  const Rounded k = rounded(x * kLog2e);
  const float r = (x - k.f * kLn2High) - k.f * kLn2Low;
  return scaled(exp_near_zero(r), k.n);
}

ATLED_FN float exp2(float x) {
  x = clamped(x, -151.0f, 129.0f);
  const Rounded k = rounded(x);
  const float r = x - k.f;
  float q = 1.51950243e-05f * r + 0.000154680225f;
  q = ((((q * r + 0.00133339503f) * r + 0.00961803446f) * r + 0.0555041034f) * r + 0.240226511f) * r + 0.693147181f;
  return scaled(q * r + 1.0f, k.n);
}

// 2^n (expm1(r) + 1) - 1, arranged so that nothing cancels.
ATLED_FN float expm1(float x) {
  const float y = clamped(x, -18.0f, 89.0f);
  const Rounded k = rounded(y * kLog2e);
  const float r = (y - k.f * kLn2High) - k.f * kLn2Low;
  const float q =
      ((((0.000198459573f * r + 0.00139416529f) * r + 0.00833339164f) * r + 0.0416663487f) * r + 0.166666664f) * r +
      0.5f;
  const float p = r * r * q + r;
  // One half less, so that 2^128 does not overflow before its time.
  const float half = bits_to_float(static_cast<uint32_t>(k.n + 126) << 23);
  const float result = 2.0f * (half * p + (half - 0.5f));
  return x == 0.0f ? x : result;
}

struct Split {
  float f;  // m - 1 for x = m * 2^k, m in [sqrt(1/2), sqrt(2))
  float k;
};
// For positive finite x; subnormal ones too.
ATLED_FN Split split(float x) {
  const bool tiny = x < 1.17549435e-38f;
  const float y = tiny ? x * 8388608.0f : x;
  const uint32_t bits = float_to_bits(y) - 0x3f3504f3u;  // of sqrt(1/2)
  const int32_t k = static_cast<int32_t>(bits) >> 23;
  const float m = bits_to_float((bits & 0x007fffffu) + 0x3f3504f3u);
  return {m - 1.0f, static_cast<float>(k) - (tiny ? 23.0f : 0.0f)};
}
// log(1 + f) - f + f^2 / 2, for f as split makes it.
ATLED_FN float log_rest(float f) {
  float p = -0.0597632294f * f + 0.106508595f;
  p = (((p * f - 0.108310482f) * f + 0.110342636f) * f - 0.124225068f) * f + 0.142851204f;
  p = (((p * f - 0.166695034f) * f + 0.200000938f) * f - 0.249999654f) * f + 0.333333323f;
  return f * f * f * p;
}
// What a logarithm is where split does not hold: 0, infinity, below 0, NaN.
ATLED_FN float log_ends(float x, float result) {
  result = x == kInfinity ? x : result;
  result = x == 0.0f ? -kInfinity : result;
  return x >= 0.0f ? result : bits_to_float(0x7fc00000u);
}

ATLED_FN float log(float x) {
  const Split s = split(x);
  float y = log_rest(s.f);
  y = s.k * kLn2Low + y - 0.5f * s.f * s.f;
  return log_ends(x, s.k * kLn2High + (s.f + y));
}

// log(1 + x) by the logarithm of u = 1 + x, corrected for what the sum lost.
ATLED_FN float log1p(float x) {
  const float u = 1.0f + x;
  const uint32_t bits = float_to_bits(u) - 0x3f3504f3u;
  const int32_t n = static_cast<int32_t>(bits) >> 23;
  const float k = static_cast<float>(n);
  const float f = bits_to_float((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
  // The rounding error of u, in units of 2^n.
  const float lost = u - 1.0f > x ? x - (u - 1.0f) : (absolute(x) > 1.0f ? 1.0f - (u - x) : x - (u - 1.0f));
  const float c = lost / u;
  float y = log_rest(f);
  y = k * kLn2Low + (y + c) - 0.5f * f * f;
  float result = k * kLn2High + (f + y);
  result = u == 1.0f ? x : result;
  result = absolute(x) < 1.0f && n == 0 ? (x + (log_rest(x) - 0.5f * x * x)) : result;
  result = x == kInfinity ? x : result;
  result = x == -1.0f ? -kInfinity : result;
  return x >= -1.0f ? result : bits_to_float(0x7fc00000u);
}

ATLED_FN float log2(float x) {
  constexpr float kRest = 0.44269504f;  // log2(e) - 1
  const Split s = split(x);
  const float y = log_rest(s.f) - 0.5f * s.f * s.f;
  return log_ends(x, (((y * kRest + s.f * kRest) + y) + s.f) + s.k);
}

ATLED_FN float log10(float x) {
  // log10(e) and log10(2), each in two parts.
  constexpr float kEHigh = 4.3359375e-1f, kELow = 7.00731903251827651129e-4f;
  constexpr float k2High = 3.00781250e-1f, k2Low = 2.48745663981195213739e-4f;
  const Split s = split(x);
  const float y = log_rest(s.f) - 0.5f * s.f * s.f;
  const float z = (((s.f + y) * kELow + s.k * k2Low) + y * kEHigh) + s.f * kEHigh;
  return log_ends(x, z + s.k * k2High);
}

ATLED_FN float sigmoid(float x) {
  const float e = exp(-absolute(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

ATLED_FN float tanh(float x) {
  const float a = absolute(x), u = x * x;
  float p = 0.00205957746f * u - 0.00808562208f;
  p = (((p * u + 0.021663401f) * u - 0.0539399421f) * u + 0.133331522f) * u - 0.333333294f;
  const float small = a + a * u * p;
  const float large = 1.0f - 2.0f / (exp(2.0f * clamped(a, 0.0f, 10.0f)) + 1.0f);
  return with_sign(a < 0.625f ? small : large, x);
}

// |x| up to which the reduction below keeps all bits of a float's result.
constexpr float kTrigLimit = 1.0e6f;

struct Quadrant {
  float r;  // x - q * pi / 2
  int32_t q;
};
// In double: the first part of pi / 2 has 33 bits, so its product with n is exact.
ATLED_FN Quadrant quadrant(float x) {
  constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52
  const double d = x, n = (d * 0.63661977236758134308 + kShift) - kShift;
  const double r = (d - n * 1.57079632673412561417e+00) - n * 6.07710050650619224932e-11;
  return {static_cast<float>(r), static_cast<int32_t>(n)};
}
ATLED_FN float sin_part(float r) {
  const float u = r * r;
  return r + r * u * (((2.71756441e-6f * u - 0.000198392566f) * u + 0.00833332914f) * u - 0.166666666f);
}
ATLED_FN float cos_part(float r) {
  const float u = r * r;
  return 1.0f + (u * u * ((2.44312031e-05f * u - 0.0013887306f) * u + 0.0416666457f) - 0.5f * u);
}
ATLED_FN float sin(float x) {
  const Quadrant k = quadrant(x);
  const float y = k.q & 1 ? cos_part(k.r) : sin_part(k.r);
  const float z = k.q & 2 ? -y : y;
  return x == 0.0f ? x : z;
}
ATLED_FN float cos(float x) {
  const Quadrant k = quadrant(x);
  const float y = k.q & 1 ? sin_part(k.r) : cos_part(k.r);
  return (k.q + 1) & 2 ? -y : y;
}

// 2^e in double, exact enough for float; NaN gives a number.
ATLED_FN double double_exp2(double e) {
  e = e > -160.0 ? e : -160.0;
  e = e > 130.0 ? 130.0 : e;
  constexpr double kShift = 6755399441055744.0;
  const double n = (e + kShift) - kShift, r = e - n;
  double z = 1.5309964911292979e-05 + 1.3175709732882762e-06 * r;
  z = (((z * r + 0.0001540385427383016) * r + 0.0013333451215325279) * r + 0.0096181285361442662) * r +
      0.055504109402141961;
  z = ((z * r + 0.24022650698927733) * r + 0.69314718054630053) * r + 0.99999999999975719;
  // 2^n in double: no float exponent leaves its normal range.
  const uint64_t bits = static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(n)) + 1023) << 52;
  double scale;
  memcpy(&scale, &bits, sizeof scale);
  return z * scale;
}

// x^y for x > 0, both finite, by double's log2 and exp2: the only rounding that shows is the last one.
ATLED_FN float positive_pow(float x, float y) {
  const Split s = split(x);
  const double f = s.f, t = f / (2.0 + f), u = t * t;
  double p = 0.28300715215623301 * u + 0.31989859231443996;
  p = (((p * u + 0.41220941554290974) * u + 0.57707794085705233) * u + 0.96179669411814239) * u + 2.8853900817778464;
  return static_cast<float>(double_exp2(static_cast<double>(y) * (static_cast<double>(s.k) + t * p)));
}

}  // namespace atled::core::fmath
