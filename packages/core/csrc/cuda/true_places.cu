// The places of true elements: each tile is counted, tiles are numbered, and places written where their tile begins.
#include "cuda/index_error.cuh"
#include "cuda/indexed.h"
#include "cuda/reduce.cuh"
#include "ops/layout.h"
#include "ops/scattering.h"

namespace atled::core::cuda {

namespace {

constexpr int kPerThread = 16;
constexpr int64_t kTile = int64_t{kThreads} * kPerThread;

struct alignas(16) Flags {
  uint8_t item[kPerThread];
};

// How many of the block's threads' numbers come before this one's, and their total.
__device__ __forceinline__ int64_t before_in_block(int64_t own, int64_t& total) {
  __shared__ int64_t sums[kThreads];
  const int me = static_cast<int>(threadIdx.x);
  sums[me] = own;
  for (int step = 1; step < kThreads; step *= 2) {
    __syncthreads();
    const int64_t other = me >= step ? sums[me - step] : 0;
    __syncthreads();
    sums[me] += other;
  }
  __syncthreads();
  total = sums[kThreads - 1];
  const int64_t before = sums[me] - own;
  __syncthreads();
  return before;
}

__device__ __forceinline__ Flags flags_at(const uint8_t* mask, int64_t from, int64_t n) {
  if (from + kPerThread <= n && reinterpret_cast<uintptr_t>(mask) % sizeof(Flags) == 0)
    return *reinterpret_cast<const Flags*>(mask + from);
  Flags flags{};
  for (int k = 0; k < kPerThread; ++k) flags.item[k] = from + k < n ? mask[from + k] : 0;
  return flags;
}

__global__ void __launch_bounds__(kThreads)
    count_kernel(const uint8_t* mask, int64_t n, int64_t tiles, int64_t* counts) {
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const Flags flags = flags_at(mask, tile * kTile + int64_t{threadIdx.x} * kPerThread, n);
    int64_t own = 0, total;
    for (int k = 0; k < kPerThread; ++k) own += flags.item[k] != 0;
    before_in_block(own, total);
    if (threadIdx.x == 0) counts[tile] = total;
  }
}

// One block: counts become starts; the total stands behind the last.
__global__ void __launch_bounds__(kThreads) start_kernel(int64_t* counts, int64_t tiles) {
  const int64_t each = (tiles + kThreads - 1) / kThreads, begin = threadIdx.x * each;
  const int64_t end = begin + each < tiles ? begin + each : tiles;
  int64_t own = 0, total;
  for (int64_t i = begin; i < end; ++i) own += counts[i];
  int64_t start = before_in_block(own, total);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t count = counts[i];
    counts[i] = start;
    start += count;
  }
  if (threadIdx.x == 0) counts[tiles] = total;
}

__global__ void __launch_bounds__(kThreads)
    place_kernel(const uint8_t* mask, int64_t n, int64_t tiles, const int64_t* starts, int64_t* places) {
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int64_t from = tile * kTile + int64_t{threadIdx.x} * kPerThread;
    const Flags flags = flags_at(mask, from, n);
    int64_t own = 0, total;
    for (int k = 0; k < kPerThread; ++k) own += flags.item[k] != 0;
    int64_t* to = places + starts[tile] + before_in_block(own, total);
    for (int k = 0; k < kPerThread; ++k)
      if (flags.item[k]) *to++ = from + k;
  }
}

struct Sizes {
  int32_t ndim;
  int64_t at[ATLED_MAX_NDIM];
};
__global__ void __launch_bounds__(kThreads)
    coordinates_kernel(const int64_t* places, int64_t* rows, int64_t n, const __grid_constant__ Sizes sizes) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    int64_t rest = places[i];
    for (int d = sizes.ndim - 1; d >= 0; --d) {
      rows[i * sizes.ndim + d] = d > 0 ? rest % sizes.at[d] : rest;
      rest /= sizes.at[d];
    }
  }
}

struct Unraveled {
  int32_t ndim;
  int64_t total, sizes[ATLED_MAX_NDIM];
  int64_t* rows[ATLED_MAX_NDIM];
};
__global__ void __launch_bounds__(kThreads)
    unravel_kernel(const int64_t* places, int64_t n, const __grid_constant__ Unraveled out, IndexSite site) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    int64_t rest = places[i];
    if (rest < 0 || rest >= out.total) {
      report_index(site, kNoDim, rest, out.total);
      rest = 0;
    }
    for (int d = out.ndim - 1; d >= 0; --d) {
      const int64_t size = out.sizes[d] > 1 ? out.sizes[d] : 1;
      out.rows[d][i] = rest % size;
      rest /= size;
    }
  }
}

}  // namespace

Tensor true_places(const atled_tensor* given) {
  const DLDevice device = given->dl.device;
  const DeviceGuard guard(device.device_id);
  const cudaStream_t stream = current_stream(device.device_id);
  const Tensor mask = contiguous(given, ATLED_BOOL);
  const int64_t n = numel(mask), tiles = (n + kTile - 1) / kTile;
  if (n == 0) return Tensor::empty(ATLED_INT64, {0}, device);
  const Tensor starts = Tensor::empty(ATLED_INT64, {tiles + 1}, device);
  const uint32_t blocks = blocks_for(tiles, 1);
  launch(count_kernel, blocks, kThreads, stream, data<uint8_t>(mask), n, tiles, data<int64_t>(starts));
  launch(start_kernel, 1, kThreads, stream, data<int64_t>(starts), tiles);
  int64_t total = 0;
  expect(cudaMemcpyAsync(&total, data<int64_t>(starts) + tiles, sizeof total, cudaMemcpyDeviceToHost, stream), "copy");
  expect(cudaStreamSynchronize(stream), "count true elements");
  raise_index_error(device.device_id);
  const Tensor places = Tensor::empty(ATLED_INT64, {total}, device);
  if (total > 0)
    launch(place_kernel, blocks, kThreads, stream, data<uint8_t>(mask), n, tiles, data<int64_t>(starts),
           data<int64_t>(places));
  return places;
}

Tensor coordinates(const Tensor& places, int ndim, const int64_t* shape) {
  const int64_t n = numel(places);
  if (ndim == 1) {
    Layout column(places);
    column.push(1, 1);
    return column.view(places);
  }
  Tensor rows = Tensor::empty(ATLED_INT64, {n, ndim}, places->dl.device);
  if (n == 0 || ndim == 0) return rows;
  const DeviceGuard guard(places->dl.device.device_id);
  Sizes sizes{ndim, {}};
  for (int d = 0; d < ndim; ++d) sizes.at[d] = shape[d];
  launch(coordinates_kernel, blocks_for(n, kThreads), kThreads, current_stream(places->dl.device.device_id),
         data<int64_t>(places), data<int64_t>(rows), n, sizes);
  return rows;
}

void unravel_index(atled_frame* f) {
  atled_tensor* indices = arg_tensor(f, 0);
  const atled_value& shape = f->args[1];
  Unraveled out{static_cast<int32_t>(shape.n), unraveled_size(indices, shape), {}, {}};
  const DLDevice device = indices->dl.device;
  const DeviceGuard guard(device.device_id);
  const Tensor places = contiguous(indices, ATLED_INT64);
  std::vector<Tensor> rows(shape.n);
  for (uint32_t d = 0; d < shape.n; ++d) {
    rows[d] = Tensor::empty_like(places);
    out.sizes[d] = shape.u.ints[d];
    out.rows[d] = data<int64_t>(rows[d]);
  }
  const int64_t n = numel(places);
  if (n > 0)
    launch(unravel_kernel, blocks_for(n, kThreads), kThreads, current_stream(device.device_id), data<int64_t>(places),
           n, out, current_index_site());
  set_out_list(f, 0, rows);
}

}  // namespace atled::core::cuda
