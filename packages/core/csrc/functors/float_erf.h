// The error function of float, its relatives, the normal distribution function and logit, as float_math.h has others:
// erf and logit in float, within 1.5 ulp; the others in double where digits would be lost, within 1.
#pragma once

#include "functors/double_math.h"
#include "functors/float_math.h"

namespace atled::core::fmath {

ATLED_FN float erf(float x) {
  const float a = absolute(x), u = a * a;
  float p = 7.85385771e-05f * u - 0.000801019252f;
  p = ((((p * u + 0.00518832756f) * u - 0.0268538119f) * u + 0.112835851f) * u - 0.376126258f) * u + 0.128379166f;
  // erfc(a) = 2^q(a); beyond 4 it does not show any more.
  const float b = a > 4.0f ? 4.0f : a;
  float q = 0.000267727978f * b - 0.00424096904f;
  q = ((((q * b + 0.031458472f) * b - 0.148651597f) * b - 0.920764912f) * b - 1.62597513f) * b - 0.000510294116f;
  const Rounded k = rounded(q);
  const float r = q - k.f;
  float e = 0.00132764668f * r + 0.00967554129f;
  e = (((e * r + 0.0555071329f) * r + 0.240221197f) * r + 0.693146967f) * r + 1.0f;
  const float far = 1.0f - e * bits_to_float(static_cast<uint32_t>(k.n + 127) << 23);
  return a < 1.0f ? x + x * p : with_sign(far, x);
}

// exp(-square) erfcx(a) for 0 <= a <= 10.2: (a + 2) erfcx(a) is a minimax polynomial of t = (a - 2) / (a + 2) (after
// Shepherd & Laframboise 1981, see double_erf.h). What is small in both factors needs no digits but float's.
ATLED_FN float exp_erfcx(double square, double a) {
  const double w = 1.0 / (a + 2.0), t = 1.0 - 4.0 * w;
  const Whole k = whole(square * -kDoubleLog2e);
  const double r = -square - k.f * 0.69314718055994530942;
  const float v = static_cast<float>(t), z = static_cast<float>(r);
  float p = 6.65490002e-05f * v + 4.12807161e-05f;
  p = ((p * v - 0.000592723937f) * v - 0.000827225105f) * v + 0.0030640707f;
  p = ((p * v + 0.0064744941f) * v - 0.0215061942f) * v - 0.036441633f;
  float q = 0.00139591037f * z + 0.00837386188f;
  q = ((q * z + 0.041666068f) * z + 0.166664746f) * z + 0.500000014f;
  const double y = ((static_cast<double>(p * v) + 0.279471811) * t - 0.68716070176415844) * t + 1.0215827081921183;
  const double e = 1.0 + (static_cast<double>(q * (z * z)) + r);
  return static_cast<float>(e * y * (w * power_of_2(k.n)));
}
ATLED_FN float erfc(float x) {
  const float size = absolute(x);
  const double a = size < 10.1f ? size : 10.1f;  // beyond, erfc is 0 in float
  const float y = exp_erfcx(a * a, a);
  return x != x ? x : (x < 0.0f ? 2.0f - y : y);
}
// The normal distribution function, erfc(-x / sqrt(2)) / 2.
ATLED_FN float ndtr(float x) {
  const float size = absolute(x);
  const double a = size < 14.25f ? size : 14.25f;
  const float y = 0.5f * exp_erfcx(0.5 * a * a, a * 0.70710678118654752440);
  return x != x ? x : (x > 0.0f ? 1.0f - y : y);
}

// x times a function of w = -log(1 - x^2) (Giles 2010, "Approximating the erfinv function"), here one minimax
// polynomial of s, the place of w between 0 and infinity.
ATLED_FN float erfinv(float x) {
  const double d = x;
  const Parted y = parted((1.0 - d) * (1.0 + d));
  const double g = y.f / (2.0 + y.f), u = g * g;
  const double log = (0.29969235379643261 * u + 0.3997330331629283) * u + 0.6666681925545912;
  const double w = -(y.k * 0.69314718055994530942 + (2.0 * g + g * u * log)), s = w / (w + 8.0);
  double p = 1489.351242534213 * s - 5948.6716718036205;
  p = ((p * s + 10090.217899536332) * s - 9390.122561102693) * s + 5252.0603164575969;
  p = ((p * s - 1876.674583281721) * s + 458.48488302221483) * s - 62.916890929511425;
  p = ((p * s + 1.204460508164682) * s - 2.8565436566745737) * s - 0.082267701504240454;
  p = (((p * s + 2.1423649406470027) * s + 2.5951536951359739) * s + 1.856110650656176) * s + 0.88622692299777639;
  const float a = absolute(x), result = static_cast<float>(d * p);
  return a < 1.0f ? result : (a == 1.0f ? with_sign(kInfinity, x) : bits_to_float(0x7fc00000u));
}

// log(x / (1 - x)), of the smaller of both by the larger; around 1/2, where that is near 1, of 1 + q, whose q is exact
// but for one rounding.
ATLED_FN float logit(float x) {
  const float y = 1.0f - x, low = x < y ? x : y, high = x < y ? y : x;
  const bool close = low >= 0.25f;
  const float q = (close ? 1.0f - 2.0f * low : low) / (close ? low : high), u = close ? 1.0f + q : q;
  const Split p = split(u);
  const bool itself = close & (p.k == 0.0f);
  // What u lost by rounding, and about that over u.
  const float lost = q > 1.0f ? 1.0f - (u - q) : q - (u - 1.0f);
  const float f = itself ? q : p.f, c = (close & (p.k != 0.0f)) ? lost * (0.97f - q * (0.7f - q * 0.19f)) : 0.0f;
  const float rest = p.k * kLn2Low + (log_rest(f) + c) - 0.5f * f * f;
  const float result = log_ends(u, p.k * kLn2High + (f + rest));
  return close == (x < y) ? -result : result;
}

}  // namespace atled::core::fmath
