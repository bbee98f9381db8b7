// Elementary functions without branches or calls for float, so that loops over them become SIMD code; the C library's
// for double, and CUDA's on a device. Errors are a few units in the last place, measured by the op tests.
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
// exp(-x * x / 2), with what the square loses by rounding put back.
ATLED_INLINE float bell(float x) {
  const float z = fminf(fabsf(x), 15.0f), half = -0.5f * z, square = half * z, y = expf(square);
  return fmaf(y, fmaf(half, z, -square), y);
}
// The normal distribution function: bell(x) times a minimax polynomial of 1 / (1 + 0.3 |x|), fitted to
// 0.5 erfcx(|x| / sqrt(2)) for |x| <= 14.6; where nothing cancels, within 8 units of 2^-24.
ATLED_INLINE float normal_cdf(float x) {
  const float t = __fdividef(1.0f, fmaf(fminf(fabsf(x), 15.0f), 0.3f, 1.0f));
  float p = 4.78204945e-3f;
  p = fmaf(p, t, 1.38420807e-2f);
  p = fmaf(p, t, -1.15051381e-1f);
  p = fmaf(p, t, 1.61525756e-1f);
  p = fmaf(p, t, -2.50360072e-2f);
  p = fmaf(p, t, 1.17322534e-1f);
  p = fmaf(p, t, 1.02552079e-1f);
  p = fmaf(p, t, 1.20415479e-1f);
  p = fmaf(p, t, 1.19647443e-1f);
  const float tail = bell(x) * t * p;
  return x < 0 ? tail : 1.0f - tail;
}
ATLED_INLINE float normal_density(float x) { return 0.39894228f * bell(x); }

#else

// Cody-Waite reduction by ln 2, then the Taylor polynomial of degree 7 on |r| <= ln(2) / 2. Subnormal results become 0.
ATLED_INLINE float exponential(float x) {
  const float bounded = x > 88.72f ? 88.72f : (x < -87.3f ? -87.3f : x);
  const float n = (bounded * 1.44269504f + 12582912.0f) - 12582912.0f;
  const float r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.98412698e-4f;
  p = p * r + 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  const int32_t k = static_cast<int32_t>(n == n ? n : 0.0f);
  // In two steps, since 2^128 has no float.
  const float half = bits_to_float(static_cast<uint32_t>((k >> 1) + 127) << 23);
  const float rest = bits_to_float(static_cast<uint32_t>(k - (k >> 1) + 127) << 23);
  const float y = p * half * rest;
  return x > 88.72283f ? std::numeric_limits<float>::infinity() : (x < -87.3f ? 0.0f : y);
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

// The normal distribution function: erfc by the Chebyshev fit of fractional error 1.2e-7 (Press et al., Numerical
// Recipes, section 6.2), on the side where nothing cancels.
ATLED_INLINE float normal_cdf(float x) {
  const float z = (x < 0 ? -x : x) * 0.70710678f, t = 1.0f / (1.0f + 0.5f * z);
  float p = 0.17087277f;
  p = p * t - 0.82215223f;
  p = p * t + 1.48851587f;
  p = p * t - 1.13520398f;
  p = p * t + 0.27886807f;
  p = p * t - 0.18628806f;
  p = p * t + 0.09678418f;
  p = p * t + 0.37409196f;
  p = p * t + 1.00002368f;
  p = p * t - 1.26551223f;
  const float tail = 0.5f * t * exponential(p - z * z);
  return x < 0 ? tail : 1.0f - tail;
}

ATLED_INLINE float normal_density(float x) { return 0.39894228f * exponential(-0.5f * x * x); }

#endif

ATLED_INLINE double exponential(double x) { return std::exp(x); }
ATLED_INLINE double exponential_minus_one(double x) { return std::expm1(x); }
ATLED_INLINE double log_one_plus(double y) { return std::log1p(y); }
ATLED_INLINE double normal_cdf(double x) { return 0.5 * std::erfc(-x * 0.70710678118654752440); }
ATLED_INLINE double normal_density(double x) { return 0.3989422804014326779 * exponential(-0.5 * x * x); }

template <class T>
ATLED_INLINE T sigmoid(T x) {
  return T(1) / (T(1) + exponential(-x));
}

}  // namespace atled::nn
