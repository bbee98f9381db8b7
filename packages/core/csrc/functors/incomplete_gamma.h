// The regularised incomplete gamma functions P and Q = 1 - P.
#pragma once

#include "functors/gamma.h"

namespace atled::core::special {

// x - log(1 + x) for x > -1: by the series of the inverse hyperbolic tangent where the two are near.
ATLED_SPECIAL double less_log1p(double x) {
  if (x < -0.45 || x > 0.6) return x - std::log1p(x);
  const double r = x / (2 + x), y = r * r;
  double sum = 0, power = 1;
  for (int k = 3; k < 45; k += 2, power *= y) {
    const double term = power / k;
    sum += term;
    if (term < kEpsilon / 8 * sum) break;
  }
  return r * (x - 2 * y * sum);
}

// x^a exp(-x) / Gamma(a + 1), by Stirling's series and the deviance of x from a for large a (Loader, "Fast and accurate
// computation of binomial probabilities", 2000).
ATLED_SPECIAL double gamma_density(double a, double x) {
  if (a < 10) {
    if (x < 600) return std::pow(x, a) * std::exp(-x) / std::tgamma(a + 1);
    return std::exp(a * std::log(x) - x - log_gamma(a + 1));
  }
  static constexpr double kStirling[] = {1.0 / 156,  -691.0 / 360360, 1.0 / 1188, -1.0 / 1680,
                                         1.0 / 1260, -1.0 / 360,      1.0 / 12};
  const double rest = horner(kStirling, 1 / (a * a)) / a, scale = std::sqrt(2 * kPi * a), ratio = x / a;
  // Far from a, 1 + (x - a) / a has lost digits of the ratio.
  if (ratio < 0.5 || ratio > 2) return std::pow(ratio * std::exp(1 - ratio), a) * std::exp(-rest) / scale;
  return std::exp(-a * less_log1p((x - a) / a) - rest) / scale;
}

// P, for x not much above a.
ATLED_SPECIAL double gamma_series(double a, double x) {
  double sum = 1, term = 1;
  for (int n = 1; n < 2000; ++n) {
    term *= x / (a + n);
    sum += term;
    if (term < kEpsilon / 4 * sum) break;
  }
  return gamma_density(a, x) * sum;
}

// Q for small x and a, where 1 - P would cancel: 1 - x^a / Gamma(1 + a) and the rest of the series.
ATLED_SPECIAL double gamma_complement_series(double a, double x) {
  double sum = 0, power = 1;
  for (int n = 1; n < 100; ++n) {
    power *= -x / n;
    const double term = power / (a + n);
    sum += term;
    if (std::fabs(term) < kEpsilon / 4 * std::fabs(sum)) break;
  }
  const double log_size = a <= 1 ? log_gamma_of_one_plus(a) : log_gamma(1 + a);
  const double exponent = a * std::log(x) - log_size;
  return -std::expm1(exponent) - std::exp(exponent) * a * sum;
}

// Q, for x not much below a: Legendre's continued fraction by Lentz's method (Press et al., Numerical Recipes, 6.2).
ATLED_SPECIAL double gamma_fraction(double a, double x) {
  constexpr double kTiny = 1e-290;
  double b = x + 1 - a, c = 1 / kTiny, d = 1 / b, h = d;
  for (int i = 1; i < 2000; ++i) {
    const double an = -i * (i - a);
    b += 2;
    d = an * d + b;
    d = 1 / (std::fabs(d) < kTiny ? kTiny : d);
    c = b + an / c;
    c = std::fabs(c) < kTiny ? kTiny : c;
    h *= d * c;
    if (std::fabs(d * c - 1) < kEpsilon / 2) break;
  }
  return gamma_density(a, x) * a * h;
}

// P or Q for large a and x near it (Temme 1979; coefficients of DiDonato & Morris 1986, as in Cephes).
ATLED_SPECIAL double gamma_uniform(double a, double x, bool upper) {
  static constexpr double kD[7][18] = {
      {-3.3333333333333333e-1, 8.3333333333333333e-2, -1.4814814814814815e-2, 1.1574074074074074e-3,
       3.527336860670194e-4, -1.7875514403292181e-4, 3.9192631785224378e-5, -2.1854485106799922e-6,
       -1.85406221071516e-6, 8.296711340953086e-7, -1.7665952736826079e-7, 6.7078535434014986e-9, 1.0261809784240308e-8,
       -4.3820360184533532e-9, 9.1476995822367902e-10, -2.551419399494625e-11, -5.8307721325504251e-11,
       2.4361948020667416e-11},
      {-1.8518518518518519e-3, -3.4722222222222222e-3, 2.6455026455026455e-3, -9.9022633744855967e-4,
       2.0576131687242798e-4, -4.0187757201646091e-7, -1.8098550334489978e-5, 7.6491609160811101e-6,
       -1.6120900894563446e-6, 4.6471278028074343e-9, 1.378633446915721e-7, -5.752545603517705e-8,
       1.1951628599778147e-8, -1.7543241719747648e-11, -1.0091543710600413e-9, 4.1627929918425826e-10,
       -8.5639070264929806e-11, 6.0672151016047586e-14},
      {4.1335978835978836e-3, -2.6813271604938272e-3, 7.7160493827160494e-4, 2.0093878600823045e-6,
       -1.0736653226365161e-4, 5.2923448829120125e-5, -1.2760635188618728e-5, 3.4235787340961381e-8,
       1.3721957309062933e-6, -6.298992138380055e-7, 1.4280614206064242e-7, -2.0477098421990866e-10,
       -1.4092529910867521e-8, 6.228974084922022e-9, -1.3670488396617113e-9, 9.4283561590146782e-13,
       1.2872252400089318e-10, -5.5645956134363321e-11},
      {6.4943415637860082e-4, 2.2947209362139918e-4, -4.6918949439525571e-4, 2.6772063206283885e-4,
       -7.5618016718839764e-5, -2.3965051138672967e-7, 1.1082654115347302e-5, -5.6749528269915966e-6,
       1.4230900732435884e-6, -2.7861080291528142e-11, -1.6958404091930277e-7, 8.0994649053880824e-8,
       -1.9111168485973654e-8, 2.3928620439808118e-12, 2.0620131815488798e-9, -9.4604966618551322e-10,
       2.1541049775774908e-10, -1.388823336813903e-14},
      {-8.618882909167117e-4, 7.8403922172006663e-4, -2.9907248030319018e-4, -1.4638452578843418e-6,
       6.6414982154651222e-5, -3.9683650471794347e-5, 1.1375726970678419e-5, 2.5074972262375328e-10,
       -1.6954149536558306e-6, 8.9075075322053097e-7, -2.2929348340008049e-7, 2.956794137544049e-11,
       2.8865829742708784e-8, -1.4189739437803219e-8, 3.4463580499464897e-9, -2.3024517174528067e-13,
       -3.9409233028046405e-10, 1.8602338968504502e-10},
      {-3.3679855336635815e-4, -6.9728137583658578e-5, 2.7727532449593921e-4, -1.9932570516188848e-4,
       6.7977804779372078e-5, 1.419062920643967e-7, -1.3594048189768693e-5, 8.0184702563342015e-6,
       -2.2914811765080952e-6, -3.252473551298454e-10, 3.4652846491085265e-7, -1.8447187191171343e-7,
       4.8240967037894181e-8, -1.7989466721743515e-14, -6.3061945000135234e-9, 3.1624176287745679e-9,
       -7.8409242536974293e-10, 5.1926791652540407e-15},
      {5.3130793646399222e-4, -5.9216643735369388e-4, 2.7087820967180448e-4, 7.9023532326603279e-7,
       -8.1539693675619688e-5, 5.6116827531062497e-5, -1.8329116582843376e-5, -3.0796134506033048e-9,
       3.4651553688036091e-6, -2.0291327396058604e-6, 5.7887928631490037e-7, 2.338630673826657e-13,
       -8.8286007463304835e-8, 4.7435958880408128e-8, -1.2545415020710382e-8, 8.6496488580102925e-14,
       1.6846058979264063e-9, -8.5754928235775947e-10}};

  const double mu = (x - a) / a, half = less_log1p(mu), eta = std::copysign(std::sqrt(2 * half), mu);
  double sum = 0;
  for (int k = 6; k >= 0; --k) {
    double row = 0;
    for (int n = 17; n >= 0; --n) row = row * eta + kD[k][n];
    sum = sum / a + row;
  }
  const double rest = std::exp(-a * half) / std::sqrt(2 * kPi * a) * sum;
  const double y = eta * std::sqrt(a / 2);
  return upper ? 0.5 * std::erfc(y) + rest : 0.5 * std::erfc(-y) - rest;
}

ATLED_SPECIAL double incomplete_gamma(double a, double x, bool upper) {
  const double none = upper ? 1 : 0, all = 1 - none;  // at x = 0 and at infinity
  if (!(a >= 0) || !(x >= 0)) return kNan;
  if (a == 0) return x > 0 ? all : kNan;
  if (x == 0) return none;
  if (a == kInfinity) return x == kInfinity ? kNan : none;
  if (x == kInfinity) return all;
  if (a > 200 && std::fabs(x - a) < 0.4 * a) return gamma_uniform(a, x, upper);
  if (x <= 1.1 && upper && (x <= 0.5 ? a <= -0.4 / std::log(x) : a <= 1.1 * x)) return gamma_complement_series(a, x);
  if (x < a + 1) {
    const double lower = gamma_series(a, x);
    return upper ? 1 - lower : lower;
  }
  const double rest = gamma_fraction(a, x);
  return upper ? rest : 1 - rest;
}

}  // namespace atled::core::special
