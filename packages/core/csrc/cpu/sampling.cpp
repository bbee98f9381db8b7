// Draws whose elements depend on one another, or take a varying number of random words.
#include "functors/sampling.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/assign.h"
#include "cpu/parallel.h"
#include "dispatch/register.h"

namespace atled::core {
namespace {

void expect_weights(const double* weights, int64_t n, double sum) {
  for (int64_t i = 0; i < n; ++i)
    if (!is_weight(weights[i])) fail_weight(weights[i]);
  if (!(sum > 0)) fail_weights(sum);
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
    // The shortest waits: an order drawn without replacement.
    int64_t possible = 0;
    for (int64_t i = 0; i < n; ++i) {
      possible += weight[i] > 0;
      keys[static_cast<size_t>(i)] = {waiting_time(stream.uniform(first + i), weight[i]), i};
    }
    if (possible < samples) fail_possible(samples, possible);
    std::partial_sort(keys.begin(), keys.begin() + samples, keys.end());
    for (int64_t s = 0; s < samples; ++s) out[s] = keys[static_cast<size_t>(s)].second;
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
    if (!is_count(count[i])) fail_count(count[i]);
    if (!is_probability(p[i])) fail_probability(p[i]);
  }
  const Stream stream(f->args[2], n * kCountersForEach);
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
    if (!is_weight(rate[i])) fail_rate(rate[i]);
  const Stream stream(f->args[1], n * kCountersForEach);
  Tensor drawn = Tensor::empty_like(rates);
  double* out = data<double>(drawn);
  parallel(n, 512, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = poisson_number(rate[i], Words(stream, i));
  });
  assign(out_tensor(f), drawn);
}

// A device would have to be waited for.
void expect_deviations(const atled_value& std) {
  static const Op amin{"core::amin"};
  if (std.tag != ATLED_TENSOR || std.u.tensor->dl.device.device_type != kDLCPU || numel(std.u.tensor) == 0) return;
  const Tensor least = contiguous(amin(std), ATLED_FLOAT64);
  if (!(*data<double>(least) >= 0)) fail(ATLED_E_VALUE, "expected std >= 0, got %g", *data<double>(least));
}

// mean + std * randn of their common shape.
void normal(atled_frame* f) {
  static const Op randn_like{"core::randn_like"}, mul{"core::mul"}, add{"core::add"}, copy{"core::copy_"};
  atled_tensor* out = out_tensor(f);
  expect_deviations(f->args[1]);
  copy(out, add(mul(randn_like(out, f->args[3]), f->args[1]), f->args[0]));
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
