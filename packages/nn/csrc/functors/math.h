// Elementary functions without branches or calls, so that loops over them become SIMD code, but for a few of double; on
// a device CUDA's. Errors are a few units in the last place, measured by the op tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "atled/dtype.hpp"
#include "functors/inline.h"

namespace atled::nn {

#if defined(__CUDA_ARCH__)

ATLED_INLINE float exponential(float x) { return expf(x); }
ATLED_INLINE float exponential_minus_one(float x) { return expm1f(x); }
ATLED_INLINE float log_one_plus(float x) { return log1pf(x); }
// Products are fused with sums where it is asked for; on the CPU the compiler does so at the levels that can.
ATLED_INLINE float fused(float a, float b, float c) { return fmaf(a, b, c); }
ATLED_INLINE float quotient(float a, float b) { return __fdividef(a, b); }
// exp(-x * x / 2), with what the square loses by rounding put back.
ATLED_INLINE float bell(float x) {
  const float z = fminf(fabsf(x), 15.0f), half = -0.5f * z, square = half * z, y = expf(square);
  return fmaf(y, fmaf(half, z, -square), y);
}

#else

ATLED_INLINE float fused(float a, float b, float c) { return a * b + c; }
ATLED_INLINE float quotient(float a, float b) { return a / b; }

// exp(r) for |r| <= ln(2) / 2: the Taylor polynomial of degree 7.
ATLED_INLINE float exponential_near_zero(float r) {
  float p = 1.98412698e-4f;
  p = p * r + 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  return p * r * r + r + 1.0f;
}
// Added to a number below 2^22, it leaves the nearest integer in the last bits: enough for an exponent.
constexpr float kRounder = 12582912.0f;
ATLED_INLINE float times_power_of_two(float p, float rounded) {
  return bits_to_float(float_to_bits(p) + (float_to_bits(rounded) << 23));
}
// Cody-Waite reduction by ln 2. Subnormal results become 0.
ATLED_INLINE float exponential(float x) {
  constexpr float kMost = 88.72283f, kLeast = -87.3f;
  const float above = x > kLeast ? x : kLeast, bounded = above < kMost ? above : kMost;
  const float rounded = bounded * 1.44269504f + kRounder, n = rounded - kRounder;
  const float r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
  const float y = times_power_of_two(exponential_near_zero(r), rounded);
  // The product is infinite, or NaN for NaN.
  return x <= kMost ? (x < kLeast ? 0.0f : y) : x * std::numeric_limits<float>::infinity();
}
// exp(-x * x / 2). Half of x's digits have an exact square; the rest of the square counts in what the reduction leaves.
ATLED_INLINE float bell(float x) {
  constexpr float kMost = 13.2f;
  const float size = x < 0 ? -x : x, z = size < kMost ? size : kMost;
  const float rounded = z * z * -0.72134752f + kRounder, n = rounded - kRounder;
  const float high = bits_to_float(float_to_bits(z) & 0xfffff000u), rest = (z - high) * (z + high);
  const float r = ((-0.5f * high * high - n * 0.693359375f) + n * 2.12194440e-4f) - 0.5f * rest;
  const float y = times_power_of_two(exponential_near_zero(r), rounded);
  return size > kMost ? 0.0f : y;
}

// exp(x) - 1 for x <= 0.
ATLED_INLINE float exponential_minus_one(float x) {
  float p = 2.75573192e-6f;
  p = p * x + 2.48015873e-5f;
  p = p * x + 1.98412698e-4f;
  p = p * x + 1.38888889e-3f;
  p = p * x + 8.33333333e-3f;
  p = p * x + 4.16666667e-2f;
  p = p * x + 1.66666667e-1f;
  p = p * x + 0.5f;
  const float small = p * x * x + x;
  return x > -0.5f ? small : exponential(x) - 1.0f;
}

// log(1 + y) for 0 <= y <= 1: 2 artanh(s) with s = y / (2 + y) <= 1 / 3.
ATLED_INLINE float log_one_plus(float y) {
  const float s = y / (2.0f + y), z = s * s;
  float p = 1.0f / 15.0f;
  p = p * z + 1.0f / 13.0f;
  p = p * z + 1.0f / 11.0f;
  p = p * z + 1.0f / 9.0f;
  p = p * z + 1.0f / 7.0f;
  p = p * z + 0.2f;
  p = p * z + 1.0f / 3.0f;
  return 2.0f * s * (p * z + 1.0f);
}

// n ln 2 + log(1 + f) for x = 2^n (1 + f) with |f| < 0.42, as in FreeBSD's e_logf.c: with s = f / (2 + f), the
// logarithm is f - (h - s (h + r)), where h = f^2 / 2 and r is what 2 artanh(s) / s has beyond 2.
ATLED_INLINE float logarithm(float x) {
  constexpr uint32_t kRootHalf = 0x3f3504f3u;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const bool subnormal = x < 1.17549435e-38f;
  const uint32_t bits = float_to_bits(subnormal ? x * 8388608.0f : x) - kRootHalf;
  const float n = static_cast<float>(static_cast<int32_t>(bits) >> 23) - (subnormal ? 23.0f : 0.0f);
  const float f = bits_to_float((bits & 0x007fffffu) + kRootHalf) - 1.0f;
  const float s = f / (2.0f + f), z = s * s, h = 0.5f * f * f;
  float r = 2.0f / 9.0f;
  r = r * z + 2.0f / 7.0f;
  r = r * z + 2.0f / 5.0f;
  r = r * z + 2.0f / 3.0f;
  r = r * z;
  const float y = n * 0.693359375f - ((h - (s * (h + r) - n * 2.12194440e-4f)) - f);
  return x > 0 ? (x < kInfinity ? y : x) : x == 0 ? -kInfinity : std::numeric_limits<float>::quiet_NaN();
}
// log(1 - x). What 1 - x loses by rounding is put back by a ratio.
ATLED_INLINE float log_one_minus(float x) {
  const float rest = 1.0f - x, lost = 1.0f - rest;
  const float y = logarithm(rest) * (x / (lost == 0 ? 1.0f : lost));
  return lost == 0 ? -x : y;
}

// The same for double: a Taylor polynomial of degree 13, and 2^n by way of the exponent's bits.
ATLED_INLINE double exponential(double x) {
  constexpr double kMost = 709.78271289338397, kLeast = -708.0, kRounder64 = 6755399441055744.0;  // 1.5 * 2^52
  const double above = x > kLeast ? x : kLeast, bounded = above < kMost ? above : kMost;
  const double rounded = bounded * 1.4426950408889634 + kRounder64, n = rounded - kRounder64;
  const double r = (bounded - n * 6.93147180369123816490e-1) - n * 1.90821492927058770002e-10;
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 1.0 / 2.0;
  p = p * r * r + r + 1.0;
  uint64_t bits, shift;
  memcpy(&bits, &p, sizeof bits);
  memcpy(&shift, &rounded, sizeof shift);
  bits += shift << 52;
  double y;
  memcpy(&y, &bits, sizeof y);
  return x <= kMost ? (x < kLeast ? 0.0 : y) : x * std::numeric_limits<double>::infinity();
}
ATLED_INLINE double exponential_minus_one(double x) {
  double p = 1.0 / 1307674368000.0;
  p = p * x + 1.0 / 87178291200.0;
  p = p * x + 1.0 / 6227020800.0;
  p = p * x + 1.0 / 479001600.0;
  p = p * x + 1.0 / 39916800.0;
  p = p * x + 1.0 / 3628800.0;
  p = p * x + 1.0 / 362880.0;
  p = p * x + 1.0 / 40320.0;
  p = p * x + 1.0 / 5040.0;
  p = p * x + 1.0 / 720.0;
  p = p * x + 1.0 / 120.0;
  p = p * x + 1.0 / 24.0;
  p = p * x + 1.0 / 6.0;
  p = p * x + 1.0 / 2.0;
  const double small = p * x * x + x;
  return x > -0.5 ? small : exponential(x) - 1.0;
}
// By way of half of 1 + y where y is above sqrt(2) - 1.
ATLED_INLINE double log_one_plus(double y) {
  const bool large = y > 0.41421356;
  const double s = large ? (y - 1.0) / (y + 3.0) : y / (2.0 + y), z = s * s;
  double p = 1.0 / 23.0;
  p = p * z + 1.0 / 21.0;
  p = p * z + 1.0 / 19.0;
  p = p * z + 1.0 / 17.0;
  p = p * z + 1.0 / 15.0;
  p = p * z + 1.0 / 13.0;
  p = p * z + 1.0 / 11.0;
  p = p * z + 1.0 / 9.0;
  p = p * z + 1.0 / 7.0;
  p = p * z + 1.0 / 5.0;
  p = p * z + 1.0 / 3.0;
  return 2.0 * s * (p * z + 1.0) + (large ? 0.69314718055994531 : 0.0);
}

#endif

// The normal distribution function: bell(x) times a minimax polynomial of 1 / (1 + 0.3 |x|), fitted to
// 0.5 erfcx(|x| / sqrt(2)) for |x| <= 14.6; where nothing cancels, within 8 units of 2^-24.
ATLED_INLINE float normal_cdf(float x) {
  const float size = x < 0 ? -x : x, t = quotient(1.0f, fused(size < 15.0f ? size : 15.0f, 0.3f, 1.0f));
  float p = 4.78204945e-3f;
  p = fused(p, t, 1.38420807e-2f);
  p = fused(p, t, -1.15051381e-1f);
  p = fused(p, t, 1.61525756e-1f);
  p = fused(p, t, -2.50360072e-2f);
  p = fused(p, t, 1.17322534e-1f);
  p = fused(p, t, 1.02552079e-1f);
  p = fused(p, t, 1.20415479e-1f);
  p = fused(p, t, 1.19647443e-1f);
  const float tail = bell(x) * t * p;
  return x < 0 ? tail : 1.0f - tail;
}
ATLED_INLINE float normal_density(float x) { return 0.39894228f * bell(x); }

ATLED_INLINE double logarithm(double x) { return std::log(x); }
ATLED_INLINE double log_one_minus(double x) { return std::log1p(-x); }
#if defined(__CUDA_ARCH__)
ATLED_INLINE double normal_cdf(double x) { return 0.5 * std::erfc(-x * 0.70710678118654752440); }
#else
// As float's, but of t = (|x| - 5) / (|x| + 5), in whose even and odd powers no sum waits for the other's. Within 4
// units in the last place where nothing cancels.
ATLED_INLINE double normal_cdf(double x) {
  const double size = x < 0 ? -x : x, z = size < 38.0 ? size : 38.0;
  const double w = 1.0 / (z + 5.0), t = (z - 5.0) * w, u = t * t;
  double even = -1.4063440415934303e-10 * u + 7.674498716098594e-09;
  even = (even * u - 6.605686708975929e-08) * u + 4.3331011944482117e-07;
  even = (even * u - 2.7693889345920015e-06) * u + 1.6681264589765155e-05;
  even = (even * u - 5.937574089071754e-05) * u - 0.0007978693964982552;
  even = (even * u + 0.020795066799711034) * u + 0.1650203661703924;
  even = (even * u + 0.4953056159699763) * u + 0.769193049750063;
  double odd = 1.8112441232578678e-09 * u - 9.455090325677566e-09;
  odd = (odd * u + 4.240865584890857e-08) * u - 3.3667190166101654e-07;
  odd = (odd * u + 3.980907058917049e-06) * u - 4.976280920627537e-05;
  odd = (odd * u + 0.000544899062588463) * u - 0.002993376770120187;
  odd = ((odd * u - 0.06911863870634333) * u - 0.3135331566713033) * u - 0.6653825028900567;
  // exp(-z^2 / 2): half of z's digits have an exact square.
  uint64_t bits;
  memcpy(&bits, &z, sizeof bits);
  bits &= 0xfffffffff8000000u;
  double high;
  memcpy(&high, &bits, sizeof high);
  const double rest = 0.5 * (z - high) * (z + high);
  const double bell = exponential(-0.5 * high * high) * (1.0 - rest * (1.0 - rest * (0.5 - rest * (1.0 / 6.0))));
  const double tail = bell * w * (odd * t + even);
  return x < 0 ? tail : (x != x ? x : 1.0 - tail);
}
#endif
ATLED_INLINE double normal_density(double x) { return 0.3989422804014326779 * exponential(-0.5 * x * x); }

template <class T>
ATLED_INLINE T sigmoid(T x) {
  return T(1) / (T(1) + exponential(-x));
}

// With exp(-2 |x|) - 1, which keeps small results' digits.
template <class T>
ATLED_INLINE T hyperbolic_tangent(T x) {
  const T e = exponential_minus_one(T(-2) * (x < 0 ? -x : x)), y = -e / (e + T(2));
  return x < 0 ? -y : y;
}

}  // namespace atled::nn
