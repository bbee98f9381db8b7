// The gamma function's logarithm and derivatives, Hurwitz's zeta function.
#pragma once

#include "functors/series.h"

namespace atled::core::special {

// The library's, but without its global sign, which threads would race for.
ATLED_SPECIAL double log_gamma(double x) {
#if defined(__GLIBC__) && !defined(__CUDA_ARCH__)
  int sign;
  return ::lgamma_r(x, &sign);
#else
  return std::lgamma(x);
#endif
}

// log(Gamma(1 + a)) for 0 <= a <= 1, relatively exact at both ends, where it is 0: a minimax quotient.
ATLED_SPECIAL double log_gamma_of_one_plus(double a) {
  static constexpr double kP[] = {-2.9464583706502804975e-6, -0.0010806808353176354844, -0.029220238177271074692,
                                  -0.25669829592642000086,   -0.99305395116205710455,   -1.8707344397470343938,
                                  -1.6820338260351560564,    -0.57721566490153286053};
  static constexpr double kQ[] = {
      0.00029098182258758537782, 0.012995316495215750784, 0.1724069213280992922, 0.99504868876735033809,
      2.8861913529065034893,     4.3903492919189179642,   3.3389343216915495341, 1.0};
  return a * (1 - a) * horner(kP, a) / horner(kQ, a);
}

// The digamma function for x in [1, 2]: (x - root) times a minimax quotient, with the root in three parts.
ATLED_SPECIAL double digamma_near_root(double x) {
  static constexpr double kP[] = {1.0894678528383954159e-6, 0.00058111350639856766417, 0.019964082741519261656,
                                  0.21631407251432455124,   0.97113275262623916172,    1.8675925104074454152,
                                  1.2503801375034053589};
  static constexpr double kQ[] = {0.00012043151172286901379,
                                  0.0061009756924348214502,
                                  0.091119022533032848756,
                                  0.5710455727133127976,
                                  1.6630736963665907719,
                                  2.177166598667134277,
                                  1.0};
  const double from_root = ((x - 1.46163213253021240234375) - 1.243814992668568208955548e-8) - 1.223322745277023662e-17;
  return from_root * horner(kP, x - 1) / horner(kQ, x - 1);
}

// Reflection below 0, recurrence up to 10, then the asymptotic series (Abramowitz & Stegun 6.3.7, 6.3.5, 6.3.18).
ATLED_SPECIAL double digamma(double x) {
  if (x == 0) return std::copysign(kInfinity, -x);
  if (x < 0) {
    if (x == std::floor(x)) return kNan;
    return digamma(1 - x) - kPi / std::tan(kPi * (x - std::nearbyint(x)));
  }
  double shift = 0;
  if (x < 1) {
    shift = -1 / x;
    x += 1;
  }
  if (x < 10) {
    for (; x > 2; shift += 1 / x) x -= 1;
    return digamma_near_root(x) + shift;
  }
  // B_2k / 2k
  static constexpr double kB[] = {
      -0.44325980392156862745, 1.0 / 12, -691.0 / 32760, 1.0 / 132, -1.0 / 240, 1.0 / 252, -1.0 / 120, 1.0 / 12};
  const double u = 1 / (x * x);
  return std::log(x) - 0.5 / x - u * horner(kB, u);
}

// sum over k >= 0 of (q + k)^-s for s > 1, q > 0: terms until they are small or q is large, then Euler and Maclaurin's
// formula (Abramowitz & Stegun 23.1.30).
ATLED_SPECIAL double zeta_of_positive(double s, double q) {
  // B_2k / (2k)!
  static constexpr double kB[] = {8.3333333333333333333e-2,   -1.3888888888888888889e-3,  3.3068783068783068783e-5,
                                  -8.2671957671957671958e-7,  2.0876756987868098979e-8,   -5.2841901386874931848e-10,
                                  1.3382536530684678833e-11,  -3.3896802963225828668e-13, 8.5860620562778445641e-15,
                                  -2.1748686985580618730e-16, 5.5090028283602295153e-18,  -1.3954464685812523341e-19};
  // Of digamma's derivative, powers are quotients.
  auto power = [s](double x) { return s == 2 ? 1 / (x * x) : std::pow(x, -s); };
  const double far = 10 + s;
  double sum = 0;
  for (; q < far; q += 1) {
    const double term = power(q);
    sum += term;
    if (term <= kEpsilon / 8 * sum) return sum;
  }
  const double last = power(q);
  sum += last * (q / (s - 1) + 0.5);
  double factor = s * last / q;
  for (int k = 0; k < 12; ++k) {
    const double term = kB[k] * factor;
    sum += term;
    if (std::fabs(term) <= kEpsilon / 8 * sum) break;
    factor *= (s + 2 * k + 1) / q * ((s + 2 * k + 2) / q);
  }
  return sum;
}

ATLED_SPECIAL double zeta(double s, double q) {
  if (s == 1) return kInfinity;
  if (!(s > 1) || q != q) return kNan;
  if (s == kInfinity) return q > 1 ? 0 : q == 1 ? 1 : q > 0 ? kInfinity : kNan;
  if (q > 0) return q == kInfinity ? 0 : zeta_of_positive(s, q);
  if (q == std::floor(q)) return kInfinity;
  if (s != std::floor(s)) return kNan;
  // Terms below 0 are (-1)^s times those of -q, 1 - q, ...: two tails of sums that start above 0.
  const double steps = std::ceil(-q), up = q + steps, down = -q - (steps - 1);
  const double below = zeta_of_positive(s, down) - zeta_of_positive(s, down + steps);
  return zeta_of_positive(s, up) + (std::fmod(s, 2) == 0 ? below : -below);
}

// The n-th derivative of digamma: (-1)^(n+1) n! zeta(n + 1, x).
ATLED_SPECIAL double polygamma(int64_t n, double x) {
  if (n == 0) return digamma(x);
  const double order = static_cast<double>(n), size = zeta(order + 1, x);
  const double product = n <= 170 ? std::tgamma(order + 1) * size
                                  : std::copysign(std::exp(log_gamma(order + 1) + std::log(std::fabs(size))), size);
  return n % 2 ? product : -product;
}

// log of the multivariate gamma function of p dimensions.
ATLED_SPECIAL double multi_log_gamma(double a, int64_t p) {
  double sum = static_cast<double>(p * (p - 1)) * 0.28618247146235004353;  // log(pi) / 4
  for (int64_t j = 0; j < p; ++j) sum += log_gamma(a - static_cast<double>(j) / 2);
  return sum;
}

}  // namespace atled::core::special
