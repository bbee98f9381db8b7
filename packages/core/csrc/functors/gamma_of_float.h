// The gamma function's logarithm and its derivative for float, in double but no longer than rounding to float allows:
// for devices on which double is dear. Errors are some 1e-11 of the larger of 1 and the result.
//
// The polynomials interpolate the named function at Chebyshev's points of these intervals.
#pragma once

#include <cmath>
#include <cstring>

#include "functors/double_math.h"
#include "functors/float_math.h"
#include "functors/series.h"

namespace atled::core::special {

// a b + c, fused on devices; processors without an instruction for that would take long for it.
ATLED_FN double fused(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}
template <int N>
ATLED_FN double fused_horner(const double (&c)[N], double x) {
  double y = c[0];
  ATLED_UNROLLED
  for (int i = 1; i < N; ++i) y = fused(y, x, c[i]);
  return y;
}

// log(x) for normal numbers above 0.
ATLED_SPECIAL double short_log(double x) {
  // log(1 + f) / f for sqrt(1/2) <= 1 + f <= sqrt(2)
  static constexpr double kC[] = {0.04272800730435181, -0.08467876411458124, 0.08750405232693213, -0.08317435210903283,
                                  0.08954162789286713, -0.09987366169121653, 0.11119413052789981, -0.12501075399501757,
                                  0.1428545826094488,  -0.16666632233794296, 0.20000003805512753, -0.2500000043312815,
                                  0.3333333331141725,  -0.49999999998512556, 1.0000000000002172};
  int64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const int64_t exponent = (bits - INT64_C(0x3fe6a09e667f3bcd)) >> 52, rest = bits - exponent * (INT64_C(1) << 52),
                shifted = exponent + INT64_C(0x4330000080000000);  // 2^52 + 2^31 + exponent
  double m, e;
  std::memcpy(&m, &rest, sizeof m);
  std::memcpy(&e, &shifted, sizeof e);
  const double f = m - 1;
  return fused(e - 4503601774854144.0, 0.69314718055994530942, f * fused_horner(kC, f));
}

// From the nearest integer.
ATLED_FN double from_nearest(double x) {
  constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding and taking it away rounds to an integer
  return x - ((x + kRound) - kRound);
}

// sin(pi f) / (pi f) for f^2 <= 1/4
ATLED_FN double sinc_of_square(double square) {
  static constexpr double kC[] = {0.0001424411546150968, -0.0023440357436859483, 0.02614750024220499,
                                  -0.19075179376007553,  0.8117424240194722,     -1.6449340668284878,
                                  0.9999999999999496};
  return fused_horner(kC, square);
}
// cos(pi f) for f^2 <= 1/4
ATLED_SPECIAL double cosine_of_square(double square) {
  static constexpr double kC[] = {0.001839989437269052, -0.025776316427315572, 0.2353254365877111, -1.33526231526157,
                                  4.0587121075374375,   -4.93480220024985,     0.9999999999992479};
  return fused_horner(kC, square);
}

// log(Gamma(x)) on [1, 2]: the zeros times a polynomial.
ATLED_FN double log_gamma_near(double x) {
  static constexpr double kNear[] = {-0.00024161504764829174, 0.0003869318782172437,  -0.00041120490671984464,
                                     0.0006689333549579451,   -0.0011691343492021464, 0.0019304179068130132,
                                     -0.003211653457970727,   0.0054457893868679625,  -0.009425640158010716,
                                     0.01679712677381422,     -0.03130848722284611,   0.06291140063254091,
                                     -0.1459598959150164,     0.48312895054210964};
  return (x - 1) * (x - 2) * fused_horner(kNear, x - 1.5);
}
// log(Gamma(x)) - (x - 1/2) log(x) + x for u = 1 / x, x >= 4: Stirling's series (Abramowitz & Stegun 6.1.40).
ATLED_FN double stirling_rest(double u) {
  static constexpr double kFar[] = {-0.0011339911451781683, 0.000794275141998197,  -0.0005938017343082313,
                                    0.0007936304837578297,  -0.002777777670803193, 0.08333333333324078};
  return u * fused_horner(kFar, u * u) + 0.91893853320467274178;
}

// Around [1, 2] by the recurrence, below 0 by reflection (Abramowitz & Stegun 6.1.15, 6.1.17).
ATLED_SPECIAL float log_gamma_of_float(float value) {
  const double size = std::fabs(static_cast<double>(value));
  if (!(size < kInfinity)) return value * value;
  double sine = 0;  // sin(pi size) / pi
  if (!(value > 0)) {
    const double f = from_nearest(size);
    if (f == 0) return static_cast<float>(kInfinity);
    sine = std::fabs(f) * sinc_of_square(f * f);
  }
  if (size >= 4) {
    const double far = fused(size - 0.5, short_log(size), stirling_rest(1 / size)) - size;
    return static_cast<float>(value > 0 ? far : -far - short_log(size * sine));
  }
  const bool small = size < 1;
  double x = small ? size + 1 : size, product = 1;
  for (; x >= 2; product *= x) x -= 1;
  const double near = log_gamma_near(x);
  const bool above = value > 0;
  const double log = short_log(above ? (small ? size : product) : small ? sine : product * size * sine);
  return static_cast<float>((above ? near : -near) + (above && !small ? log : -log));
}

// The same without a branch, for loops that become vector code: both ways, two logarithms.
ATLED_FN float log_gamma_in_vectors(float value) {
  const double size = fmath::absolute(static_cast<double>(value));
  const bool small = size < 1, large = size >= 4, below = !(value > 0);
  auto log = [](double x) {
    const fmath::Parted p = fmath::parted(x);
    return p.k * fmath::kLogHigh - ((0.5 * p.f * p.f - (fmath::log_rest(p.f) + p.k * fmath::kLogLow)) - p.f);
  };
  const double f = from_nearest(size), sine = fmath::absolute(f) * sinc_of_square(f * f);
  const double few = large ? 1.5 : size;
  const double x = few < 1 ? few + 1 : (few < 2 ? few : (few < 3 ? few - 1 : few - 2));
  const double product = few < 2 ? 1 : (few < 3 ? few - 1 : (few - 1) * (few - 2));
  const double rest = large ? stirling_rest(1 / (large ? size : 4)) - size : log_gamma_near(x);
  const double factor = large ? size - 0.5 : (small ? -1.0 : 1.0);
  const double result = factor * log((large | small) ? size : product) + rest;
  const float shown = static_cast<float>(below ? -result - log(size * sine) : result);
  const float ends = (below & (f == 0)) ? fmath::kInfinity : shown;
  return fmath::absolute(value) < fmath::kInfinity ? ends : value * value;
}

// Digamma in the same way: its zero times a polynomial on [1, 2], an asymptotic series from 4 on (Abramowitz & Stegun
// 6.3.5, 6.3.7, 6.3.18).
ATLED_SPECIAL float digamma_of_float(float value) {
  static constexpr double kNear[] = {
      -0.0035191575394071706, 0.005280008892140368, -0.004843948067187809, 0.007272860198091768,  -0.011985325834114543,
      0.018022924420212198,   -0.02696891090160945, 0.040750504128763916,  -0.061922423533269114, 0.09498915988298229,
      -0.14840491849208132,   0.24054247739744206,  -0.42362742129311104,  0.9510558760493102};
  // Of 1 / x^2, times 1 / x^2.
  static constexpr double kFar[] = {-0.01145239925180447, 0.007004027747270107,  -0.004149540979801957,
                                    0.003968013044142612, -0.008333332067442651, 0.0833333333322386};
  const double size = std::fabs(static_cast<double>(value));
  if (!(size < kInfinity)) return value > 0 ? value : static_cast<float>(kNan);
  if (value == 0) return std::copysign(static_cast<float>(kInfinity), -value);
  double result;
  if (size >= 4) {
    const double u = 1 / size, square = u * u;
    result = std::fma(-square, fused_horner(kFar, square), std::fma(-0.5, u, short_log(size)));
  } else {
    // The recurrence's terms as one quotient.
    double x = size, above = 0, below = 1;
    if (size < 1) {
      x += 1;
      above = -1;
      below = size;
    } else if (size >= 3) {
      x -= 2;
      above = 2 * size - 3;
      below = (size - 1) * x;
    } else if (size >= 2) {
      x -= 1;
      above = 1;
      below = x;
    }
    const double from_root = (x - 1.46163213253021240234375) - 1.243814992668208568955548e-8;
    result = from_root * fused_horner(kNear, x - 1.5) + above / below;
  }
  if (value > 0) return static_cast<float>(result);
  const double f = from_nearest(size), square = f * f;
  if (f == 0) return static_cast<float>(kNan);
  return static_cast<float>(result + 1 / size + cosine_of_square(square) / (f * sinc_of_square(square)));
}

}  // namespace atled::core::special
