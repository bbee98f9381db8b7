// Draws whose elements depend on one another, or take a varying number of random words.
#include "cuda/draw.cuh"
#include "cuda/scan.cuh"
#include "functors/sampling.h"
#include "functors/scan.h"

namespace atled::core::cuda {

namespace {

struct IsWeight {
  ATLED_FN bool operator()(double x) const { return is_weight(x); }
};
struct IsCount {
  ATLED_FN bool operator()(double x) const { return is_count(x); }
};
struct IsProbability {
  ATLED_FN bool operator()(double x) const { return is_probability(x); }
};
struct IsPositive {
  ATLED_FN bool operator()(double x) const { return x > 0; }
};
struct IsEnough {
  int64_t least;
  ATLED_FN bool operator()(int64_t x) const { return x >= least; }
};

// Row after row, `draws` numbers of the stream each.
__global__ void __launch_bounds__(kThreads)
    pick_kernel(int64_t* out, const double* weights, const double* sums, int64_t rows, int64_t n, int64_t samples,
                const StreamNumbers stream) {
  for (int64_t i = thread_index(); i < rows * samples; i += thread_count()) {
    const int64_t row = i / samples, s = i - row * samples;
    const double *sum = sums + row * n, *weight = weights + row * n;
    const double wanted = stream.uniform(row * ((samples + 1) / 2) * 2 + s) * sum[n - 1];
    int64_t low = 0, high = n;  // the first sum that is larger
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (sum[middle] > wanted)
        high = middle;
      else
        low = middle + 1;
    }
    int64_t pick = low < n ? low : n - 1;
    while (pick > 0 && weight[pick] == 0) --pick;  // rounding may lead past the last weight
    out[i] = pick;
  }
}

__global__ void __launch_bounds__(kThreads)
    wait_kernel(double* out, const double* weights, int64_t rows, int64_t n, const StreamNumbers stream) {
  for (int64_t i = thread_index(); i < rows * n; i += thread_count()) {
    const int64_t row = i / n;
    out[i] = waiting_time(stream.uniform(row * ((n + 1) / 2) * 2 + i - row * n), weights[i]);
  }
}

void multinomial(atled_frame* f) {
  const Tensor weights = contiguous(arg_tensor(f, 0), ATLED_FLOAT64);
  const atled_tensor* out = out_tensor(f);
  const int last = weights->dl.ndim - 1;
  const int64_t n = weights->dl.shape[last], samples = arg_int(f, 1), rows = last == 0 ? 1 : weights->dl.shape[0];
  const bool replacement = arg_bool(f, 2);
  const Stream stream(f->args[3], rows * (((replacement ? samples : n) + 1) / 2));
  const DLDevice where = weights->dl.device;
  if (rows == 0) return;
  if (n == 0) fail_weights(0);
  DeviceGuard device(where.device_id);
  const cudaStream_t current = current_stream(where.device_id);
  const auto* weight = data<const double>(weights);
  expect_each(where, weight, rows * n, 1, IsWeight{}, fail_weight);
  const Tensor made = Tensor::empty_like(weights);
  auto* to = data<double>(made);
  RunningOf<double, false> sum;
  sum.out = to;
  scan(sum, weights, last);
  expect_each(where, to + n - 1, rows, n, IsPositive{}, fail_weights);
  if (replacement)
    return launch(pick_kernel, blocks_for(rows * samples, kThreads), kThreads, current, data<int64_t>(out), weight, to,
                  rows, n, samples, stream);

  static const Op count_nonzero{"core::count_nonzero"}, argsort{"core::argsort"}, narrow{"core::narrow"};
  const int64_t dim = -1;
  const Tensor possible = count_nonzero(weights, ints_value(&dim, 1));
  expect_each(where, data<const int64_t>(possible), rows, 1, IsEnough{samples},
              [&](int64_t found) { fail_possible(samples, found); });
  launch(wait_kernel, blocks_for(rows * n, kThreads), kThreads, current, to, weight, rows, n, stream);
  const Tensor order = argsort(made, dim, false, true);
  assign(out, narrow(order, dim, 0, samples).get());
}

__global__ void __launch_bounds__(kThreads)
    poisson_kernel(double* out, const double* rates, int64_t n, const StreamNumbers stream) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) out[i] = poisson_number(rates[i], Words(stream, i));
}

void poisson(atled_frame* f) {
  const Tensor rates = contiguous(arg_tensor(f, 0), ATLED_FLOAT64);
  const int64_t n = numel(rates);
  const DLDevice where = rates->dl.device;
  expect_each(where, data<const double>(rates), n, 1, IsWeight{}, fail_rate);
  const Stream stream(f->args[1], n * kCountersForEach);
  if (n == 0) return;
  DeviceGuard device(where.device_id);
  const Tensor drawn = Tensor::empty_like(rates);
  launch(poisson_kernel, blocks_for(n, kThreads), kThreads, current_stream(where.device_id), data<double>(drawn),
         data<const double>(rates), n, stream);
  assign(out_tensor(f), drawn.get());
}

__global__ void __launch_bounds__(kThreads)
    binomial_kernel(double* out, const double* counts, const double* chances, int64_t n, const StreamNumbers stream) {
  for (int64_t i = thread_index(); i < n; i += thread_count())
    out[i] = binomial_number(counts[i], chances[i], Words(stream, i));
}

void binomial(atled_frame* f) {
  const atled_tensor* out = out_tensor(f);
  const DLDevice where = out->dl.device;
  auto spread = [&](int i) {
    Tensor t = Tensor::empty(ATLED_FLOAT64, out->dl.ndim, out->dl.shape, where);
    assign(t, f->args[i]);
    return t;
  };
  const Tensor counts = spread(0), chances = spread(1), drawn = Tensor::empty_like(counts);
  const int64_t n = numel(counts);
  expect_each(where, data<const double>(counts), n, 1, IsCount{}, fail_count);
  expect_each(where, data<const double>(chances), n, 1, IsProbability{}, fail_probability);
  const Stream stream(f->args[2], n * kCountersForEach);
  if (n == 0) return;
  DeviceGuard device(where.device_id);
  launch(binomial_kernel, blocks_for(n, kThreads), kThreads, current_stream(where.device_id), data<double>(drawn),
         data<const double>(counts), data<const double>(chances), n, stream);
  assign(out, drawn.get());
}

void add_sampling() {
  cuda_kernel("core::multinomial", kernel<multinomial>);
  cuda_kernel("core::poisson", kernel<poisson>);
  cuda_kernel("core::binomial", kernel<binomial>);
}
ATLED_CUDA_KERNELS(add_sampling);

}  // namespace

}  // namespace atled::core::cuda
