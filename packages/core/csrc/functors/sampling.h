// Draws of numbers that take a varying number of random words, and what their arguments may be; the same on every
// device.
#pragma once

#include <cmath>

#include "functors/out_of_line.h"
#include "functors/stream.h"

namespace atled::core {

ATLED_FN bool is_probability(double p) { return p >= 0 && p <= 1; }
ATLED_FN bool is_weight(double x) { return x >= 0 && x - x == 0; }  // and rates
ATLED_FN bool is_count(double x) { return is_weight(x) && x == std::floor(x); }

[[noreturn]] inline void fail_probability(double p) {
  fail(ATLED_E_VALUE, "expected probabilities in [0, 1], got %g", p);
}
// p: a number or a tensor.
inline void expect_real_probability(const atled_value& p) {
  if (p.tag == ATLED_COMPLEX_VALUE || (p.tag == ATLED_TENSOR && is_complex(p.u.tensor->dtype)))
    fail(ATLED_E_DTYPE, "expected p to be real, got complex numbers");
}
[[noreturn]] inline void fail_rate(double rate) { fail(ATLED_E_VALUE, "expected finite rates >= 0, got %g", rate); }
[[noreturn]] inline void fail_count(double count) { fail(ATLED_E_VALUE, "expected whole counts >= 0, got %g", count); }
[[noreturn]] inline void fail_weight(double x) { fail(ATLED_E_VALUE, "expected finite weights >= 0, got %g", x); }
[[noreturn]] inline void fail_weights(double sum) {
  fail(ATLED_E_VALUE, "expected a row of weights whose sum is positive, got %g", sum);
}
[[noreturn]] inline void fail_possible(int64_t samples, int64_t possible) {
  fail(ATLED_E_VALUE, "expected at least %lld weights that are not zero, got %lld", (long long)samples,
       (long long)possible);
}

// An exponential number of this rate. Those of the smallest are an order drawn without replacement.
ATLED_FN double waiting_time(double uniform, double rate) {
  return rate == 0 ? INFINITY : -std::log(1.0 - uniform) / rate;
}

constexpr int64_t kCountersForEach = int64_t{1} << 19;

#define ATLED_DRAW inline ATLED_OUT_OF_LINE

// One element's own stream: a counter block of its own, so that the number of words it takes does not matter to others.
class Words {
 public:
  ATLED_FN Words(const StreamNumbers& stream, int64_t element)
      : stream_(stream), next_(element * 2 * kCountersForEach) {}
  ATLED_FN double operator()() { return stream_.uniform(next_++); }

 private:
  StreamNumbers stream_;
  int64_t next_;
};

// Knuth's product for small rates; for large ones, W. Hoermann's transformed rejection PTRS, "The transformed rejection
// method for generating Poisson random variables", 1993.
ATLED_DRAW double poisson_number(double rate, Words words) {
  if (rate == 0) return 0;
  if (rate < 10) {
    const double limit = std::exp(-rate);
    double product = words(), count = 0;
    for (; product > limit; product *= words()) ++count;
    return count;
  }
  const double b = 0.931 + 2.53 * std::sqrt(rate), a = -0.059 + 0.02483 * b;
  const double inverse = 1.1239 + 1.1328 / (b - 3.4), accept = 0.9277 - 3.6224 / (b - 2), log_rate = std::log(rate);
  for (;;) {
    const double u = words() - 0.5, v = words(), us = 0.5 - std::fabs(u);
    const double k = std::floor((2 * a / us + b) * u + rate + 0.43);
    if (us >= 0.07 && v <= accept) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    if (std::log(v) + std::log(inverse) - std::log(a / (us * us) + b) <= -rate + k * log_rate - std::lgamma(k + 1))
      return k;
  }
}

// log(k!) less Stirling's first terms, log(sqrt(2 pi)) + (k + 1/2) log(k + 1) - (k + 1): by its series, which is exact
// to 1e-11 from 10 on, and directly below.
ATLED_DRAW double stirling_rest(double k) {
  if (k < 10) return std::lgamma(k + 1) - (0.91893853320467274 + (k + 0.5) * std::log(k + 1) - (k + 1));
  const double x = 1 / (k + 1), square = x * x;
  return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - square / 1680) * square) * square) * x;
}

// For p <= 1/2 and count * p >= 10: W. Hoermann's transformed rejection BTRS, "The generation of binomial random
// variates", 1993.
ATLED_DRAW double binomial_by_rejection(double count, double p, Words& words) {
  const double q = 1 - p, spread = std::sqrt(count * p * q), odds = p / q;
  const double b = 1.15 + 2.53 * spread, a = -0.0873 + 0.0248 * b + 0.01 * p, center = count * p + 0.5;
  const double accept = 0.92 - 4.2 / b, alpha = (2.83 + 5.1 / b) * spread, mode = std::floor((count + 1) * p);
  for (;;) {
    const double u = words() - 0.5, v = words(), us = 0.5 - std::fabs(u);
    const double k = std::floor((2 * a / us + b) * u + center);
    if (us >= 0.07 && v <= accept) return k;
    if (!(k >= 0 && k <= count)) continue;
    const double bound = (mode + 0.5) * std::log((mode + 1) / (odds * (count - mode + 1))) +
                         (count + 1) * std::log((count - mode + 1) / (count - k + 1)) +
                         (k + 0.5) * std::log(odds * (count - k + 1) / (k + 1)) + stirling_rest(mode) +
                         stirling_rest(count - mode) - stirling_rest(k) - stirling_rest(count - k);
    if (std::log(v * alpha / (a / (us * us) + b)) <= bound) return k;
  }
}

// How many of count trials succeed. For small means, the trials up to each success are counted (L. Devroye,
// "Non-uniform random variate generation", 1986, X.4.3: the second waiting time method).
ATLED_DRAW double rare_number(double count, double p, Words words) {
  if (count * p >= 10) return binomial_by_rejection(count, p, words);
  if (p == 0) return 0;
  const double log_failure = std::log1p(-p);
  double successes = 0, trials = 0;
  for (;; ++successes) {
    trials += std::floor(std::log(1 - words()) / log_failure) + 1;
    if (!(trials <= count)) return successes;
  }
}
ATLED_DRAW double binomial_number(double count, double p, Words words) {
  return p > 0.5 ? count - rare_number(count, 1 - p, words) : rare_number(count, p, words);
}

#undef ATLED_DRAW

}  // namespace atled::core
