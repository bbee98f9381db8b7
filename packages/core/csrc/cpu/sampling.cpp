// Draws whose elements depend on one another, or take a varying number of random words.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/assign.h"
#include "cpu/parallel.h"
#include "dispatch/register.h"
#include "functors/stream.h"

namespace atled::core {
namespace {

void expect_weights(const double* weights, int64_t n, double sum) {
  for (int64_t i = 0; i < n; ++i)
    if (!(weights[i] >= 0) || std::isinf(weights[i]))
      fail(ATLED_E_VALUE, "expected finite weights >= 0, got %g", weights[i]);
  if (!(sum > 0)) fail(ATLED_E_VALUE, "expected a row of weights whose sum is positive, got %g", sum);
}

void multinomial(atled_frame* f) {
  const Tensor weights = contiguous(arg_tensor(f, 0), ATLED_FLOAT64);
  const int64_t n = weights->dl.shape[weights->dl.ndim - 1], samples = arg_int(f, 1);
  const int64_t rows = weights->dl.ndim == 1 ? 1 : weights->dl.shape[0];
  const bool replacement = arg_bool(f, 2);
  const int64_t draws = replacement ? samples : n;
  const Stream stream(f->args[3], rows * ((draws + 1) / 2));
  int64_t* out = data<int64_t>(out_tensor(f));
  std::vector<double> sums(static_cast<size_t>(n));
  std::vector<std::pair<double, int64_t>> keys(static_cast<size_t>(replacement ? 0 : n));
  for (int64_t row = 0; row < rows; ++row, out += samples) {
    const double* weight = data<double>(weights) + row * n;
    const int64_t first = row * ((draws + 1) / 2) * 2;
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sums[static_cast<size_t>(i)] = sum += weight[i];
    expect_weights(weight, n, sum);
    if (replacement) {
      for (int64_t s = 0; s < samples; ++s) {
        const auto found = std::upper_bound(sums.begin(), sums.end(), stream.uniform(first + s) * sum);
        int64_t pick = std::min<int64_t>(found - sums.begin(), n - 1);
        while (weight[pick] == 0) --pick;  // rounding may lead past the last weight
        out[s] = pick;
      }
      continue;
    }
    // The smallest of exponential numbers with these rates: an order drawn without replacement.
    int64_t possible = 0;
    for (int64_t i = 0; i < n; ++i) {
      possible += weight[i] > 0;
      keys[static_cast<size_t>(i)] = {-std::log(1.0 - stream.uniform(first + i)) / weight[i], i};
      if (weight[i] == 0) keys[static_cast<size_t>(i)].first = INFINITY;
    }
    if (possible < samples)
      fail(ATLED_E_VALUE, "expected at least %lld weights that are not zero, got %lld", (long long)samples,
           (long long)possible);
    std::partial_sort(keys.begin(), keys.begin() + samples, keys.end());
    for (int64_t s = 0; s < samples; ++s) out[s] = keys[static_cast<size_t>(s)].second;
  }
}

// One element's own stream: a counter block of its own, so that the number of words it takes does not matter to others.
class Words {
 public:
  Words(const Stream& stream, int64_t element) : stream_(stream), next_(element * kWords) {}
  double operator()() { return stream_.uniform(next_++); }

 private:
  static constexpr int64_t kWords = int64_t{1} << 20;
  const Stream& stream_;
  int64_t next_;
};

// Knuth's product for small rates; for large ones, W. Hoermann's transformed rejection PTRS, "The transformed rejection
// method for generating Poisson random variables", 1993.
double poisson_number(double rate, Words words) {
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
double stirling_rest(double k) {
  if (k < 10) return std::lgamma(k + 1) - (0.91893853320467274 + (k + 0.5) * std::log(k + 1) - (k + 1));
  const double x = 1 / (k + 1), square = x * x;
  return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - square / 1680) * square) * square) * x;
}

// For p <= 1/2 and count * p >= 10: W. Hoermann's transformed rejection BTRS, "The generation of binomial random
// variates", 1993.
double binomial_by_rejection(double count, double p, Words& words) {
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
double binomial_number(double count, double p, Words words) {
  if (p > 0.5) return count - binomial_number(count, 1 - p, words);
  if (count * p >= 10) return binomial_by_rejection(count, p, words);
  if (p == 0) return 0;
  const double log_failure = std::log1p(-p);
  double successes = 0, trials = 0;
  for (;; ++successes) {
    trials += std::floor(std::log(1 - words()) / log_failure) + 1;
    if (!(trials <= count)) return successes;
  }
}

void binomial(atled_frame* f) {
  const atled_tensor* out = out_tensor(f);
  auto spread = [&](int i) {
    Tensor t = Tensor::empty(ATLED_FLOAT64, out->dl.ndim, out->dl.shape);
    assign(t, f->args[i]);
    return t;
  };
  const Tensor counts = spread(0), chances = spread(1);
  const double *count = data<double>(counts), *p = data<double>(chances);
  const int64_t n = numel(counts);
  for (int64_t i = 0; i < n; ++i) {
    if (!(count[i] >= 0) || std::isinf(count[i]) || count[i] != std::floor(count[i]))
      fail(ATLED_E_VALUE, "expected whole counts >= 0, got %g", count[i]);
    if (!(p[i] >= 0 && p[i] <= 1)) fail(ATLED_E_VALUE, "expected probabilities in [0, 1], got %g", p[i]);
  }
  const Stream stream(f->args[2], n * (int64_t{1} << 19));
  Tensor drawn = Tensor::empty_like(counts);
  double* to = data<double>(drawn);
  parallel(n, 512, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = binomial_number(count[i], p[i], Words(stream, i));
  });
  assign(out, drawn);
}

void poisson(atled_frame* f) {
  const Tensor rates = contiguous(arg_tensor(f, 0), ATLED_FLOAT64);
  const int64_t n = numel(rates);
  double* rate = data<double>(rates);
  for (int64_t i = 0; i < n; ++i)
    if (!(rate[i] >= 0) || std::isinf(rate[i])) fail(ATLED_E_VALUE, "expected finite rates >= 0, got %g", rate[i]);
  const Stream stream(f->args[1], n * (int64_t{1} << 19));
  Tensor drawn = Tensor::empty_like(rates);
  double* out = data<double>(drawn);
  parallel(n, 512, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = rate[i] == 0 ? 0 : poisson_number(rate[i], Words(stream, i));
  });
  assign(out_tensor(f), drawn);
}

// mean + std * randn of their common shape.
void normal(atled_frame* f) {
  static const Op randn{"core::randn"}, mul{"core::mul"}, add{"core::add"}, randn_like{"core::randn_like"};
  const atled_value &mean = f->args[0], &std = f->args[1], &size = f->args[2], &generator = f->args[3];
  if (mean.tag != ATLED_TENSOR && std.tag != ATLED_TENSOR) {
    if (is_none(size)) fail(ATLED_E_ARGUMENT, "expected a size when mean and std are numbers");
    return set_out(f, 0, add(mul(randn(size, generator, f->args[4], f->args[5]), std), mean));
  }
  if (!is_none(size)) fail(ATLED_E_ARGUMENT, "expected no size when mean or std is a tensor");
  static const Op zeros_like{"core::zeros_like"};
  Tensor common = mean.tag == ATLED_TENSOR ? Tensor::borrow(mean.u.tensor) : zeros_like(std);
  if (mean.tag == ATLED_TENSOR && std.tag == ATLED_TENSOR) common = add(mean, mul(std, value(0)));
  set_out(f, 0, add(mul(randn_like(common, generator), std), mean));
}

void add_sampling() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  cpu("core::multinomial", kernel<multinomial>);
  cpu("core::poisson", kernel<poisson>);
  cpu("core::binomial", kernel<binomial>);
  add_kernel("core::normal", ATLED_DEVICE_ANY, kernel<normal>);
}

ATLED_KERNELS(add_sampling);

}  // namespace
}  // namespace atled::core
