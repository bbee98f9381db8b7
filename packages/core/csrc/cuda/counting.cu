#include "cuda/counting.h"
#include "cuda/launch.cuh"
#include "cuda/radix_sort.h"

namespace atled::core::cuda {

namespace {

constexpr uint32_t kFewBins = 8192;  // that a block counts in its own memory

__global__ void __launch_bounds__(kThreads)
    count_few_kernel(const int64_t* at, int64_t n, unsigned long long* counts, uint32_t bins) {
  __shared__ uint32_t table[kFewBins];
  for (uint32_t b = threadIdx.x; b < bins; b += blockDim.x) table[b] = 0;
  __syncthreads();
  for (int64_t i = thread_index(); i < n; i += thread_count())
    if (at[i] >= 0) atomicAdd(table + at[i], 1u);
  __syncthreads();
  for (uint32_t b = threadIdx.x; b < bins; b += blockDim.x)
    if (table[b] > 0) atomicAdd(counts + b, static_cast<unsigned long long>(table[b]));
}

__global__ void __launch_bounds__(kThreads)
    count_many_kernel(const int64_t* at, int64_t n, unsigned long long* counts) {
  for (int64_t i = thread_index(); i < n; i += thread_count())
    if (at[i] >= 0) atomicAdd(counts + at[i], 1ull);
}

// Those that count nowhere go behind the last place.
__global__ void __launch_bounds__(kThreads) key_kernel(const int64_t* at, int64_t* keys, int64_t n, int64_t bins) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) keys[i] = at[i] < 0 ? bins : at[i];
}

__device__ int64_t first_at_least(const int64_t* sorted, int64_t n, int64_t key) {
  int64_t low = 0, high = n;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (sorted[middle] < key)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// Each place's weights are shared among `lanes` threads, whose sums are added pairwise.
__global__ void __launch_bounds__(kThreads)
    sum_kernel(const int64_t* sorted, const int64_t* positions, const double* weights, int64_t n, double* sums,
               int64_t bins, uint32_t lanes) {
  __shared__ double partial[kThreads];
  const uint32_t per_block = kThreads / lanes, lane = threadIdx.x % lanes;
  const int64_t blocks = (bins + per_block - 1) / per_block;
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const int64_t bin = block * per_block + threadIdx.x / lanes;
    double sum = 0;
    if (bin < bins) {
      const int64_t begin = first_at_least(sorted, n, bin), end = first_at_least(sorted, n, bin + 1);
#pragma unroll 4
      for (int64_t i = begin + lane; i < end; i += lanes) sum += weights[positions[i]];
    }
    partial[threadIdx.x] = sum;
    for (uint32_t half = lanes / 2; half > 0; half /= 2) {
      __syncthreads();
      if (lane < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    }
    if (bin < bins && lane == 0) sums[bin] = partial[threadIdx.x];
    __syncthreads();
  }
}

}  // namespace

void count_places(const int64_t* at, int64_t n, uint64_t* counts, int64_t bins, DLDevice device) {
  if (bins == 0) return;
  DeviceGuard current(device.device_id);
  const cudaStream_t stream = current_stream(device.device_id);
  expect(cudaMemsetAsync(counts, 0, static_cast<size_t>(bins) * sizeof(uint64_t), stream), "fill with zeros");
  if (n == 0) return;
  auto* to = reinterpret_cast<unsigned long long*>(counts);
  const uint32_t blocks = blocks_for(n, 16 * kThreads, 1024);
  if (bins <= kFewBins)
    launch(count_few_kernel, blocks, kThreads, stream, at, n, to, static_cast<uint32_t>(bins));
  else
    launch(count_many_kernel, blocks, kThreads, stream, at, n, to);
}

void sum_places(const int64_t* at, const double* weights, int64_t n, double* sums, int64_t bins, DLDevice device) {
  if (bins == 0) return;
  DeviceGuard current(device.device_id);
  const cudaStream_t stream = current_stream(device.device_id);
  if (n == 0) {
    expect(cudaMemsetAsync(sums, 0, static_cast<size_t>(bins) * sizeof(double), stream), "fill with zeros");
    return;
  }
  const Tensor room = Tensor::empty(ATLED_INT64, {3 * n}, device);
  int64_t *keys = data<int64_t>(room), *sorted = keys + n, *positions = sorted + n;
  launch(key_kernel, blocks_for(n, kThreads), kThreads, stream, at, keys, n, bins);
  sort_positions(keys, n, bins + 1, sorted, positions, device);
  uint32_t lanes = 1;
  while (lanes < kThreads && 4 * static_cast<int64_t>(lanes) * bins < n) lanes *= 2;
  const int64_t per_block = kThreads / lanes;
  launch(sum_kernel, blocks_for((bins + per_block - 1) / per_block, 1), kThreads, stream, sorted, positions, weights, n,
         sums, bins, lanes);
}

}  // namespace atled::core::cuda
