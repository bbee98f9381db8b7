#include <algorithm>

#include "cuda/reduce.cuh"
#include "cuda/sorting.h"
#include "ops/layout.h"

namespace atled::core::cuda {

namespace {

struct Sorted {
  Tensor values, indices;
};
Sorted sorted(const atled_tensor* rows, int64_t kept) {
  Layout layout(rows);
  layout.shape[layout.ndim - 1] = kept;
  const Sorted order{Tensor::empty(rows->dtype, layout.ndim, layout.shape, rows->dl.device),
                     Tensor::empty(ATLED_INT64, layout.ndim, layout.shape, rows->dl.device)};
  sort_lines(rows, false, kept, order.values, order.indices);
  return order;
}

// The first of the NaNs, which are the last of n sorted elements.
template <class K>
__device__ int64_t first_nan(const K* x, int64_t n, int dtype) {
  int64_t low = 0, high = n - 1;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (is_nan_key(key_as(x[middle], dtype), dtype))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

template <class K>
__global__ void __launch_bounds__(kThreads)
    rank_kernel(const K* sorted, const int64_t* places, const int64_t* ranks, K* values, int64_t* indices,
                int64_t lines, int64_t n, int64_t m, int64_t step, bool propagate_nan, int dtype) {
  for (int64_t i = thread_index(); i < lines * m; i += thread_count()) {
    const int64_t line = i / m;
    const K* x = sorted + line * n;
    // Looking at ranks on the host would mean waiting: they are taken as the nearest there is.
    int64_t at = ranks[line * step + (i - line * m)];
    at = at < 0 ? 0 : at < n ? at : n - 1;
    if (propagate_nan && is_nan_key(key_as(x[n - 1], dtype), dtype)) at = first_nan(x, n, dtype);
    values[i] = x[at];
    indices[i] = places[line * n + at];
  }
}

void ranked(atled_frame* f) {
  const Tensor rows = contiguous(arg_tensor(f, 0), arg_tensor(f, 0)->dtype),
               ranks = contiguous(arg_tensor(f, 1), ATLED_INT64);
  const atled_tensor *values = out_tensor(f, 0), *indices = out_tensor(f, 1);
  const int64_t n = rows->dl.shape[rows->dl.ndim - 1], m = ranks->dl.shape[ranks->dl.ndim - 1];
  if (numel(values) == 0) return;
  const Sorted order = sorted(rows, n);
  const int64_t lines = numel(rows) / n;
  const bool propagate_nan = arg_bool(f, 2);
  const DLDevice device = rows->dl.device;
  DeviceGuard current(device.device_id);
  visit_key(rows->dtype, [&](auto tag) {
    using K = typename decltype(tag)::type;
    launch(rank_kernel<K>, blocks_for(lines * m, kThreads), kThreads, current_stream(device.device_id),
           data<K>(order.values), data<int64_t>(order.indices), data<int64_t>(ranks), data<K>(values),
           data<int64_t>(indices), lines, n, m, ranks->dl.ndim > 1 ? m : 0, propagate_nan, rows->dtype);
  });
}

// A column of every line, as one dimension.
Tensor column(const Tensor& t, int64_t at) {
  const int64_t n = t->dl.shape[t->dl.ndim - 1];
  Layout layout;
  layout.push(numel(t) / n, n);
  layout.offset = at;
  return layout.view(t);
}
Tensor flat(atled_tensor* t) {
  Layout layout;
  layout.push(numel(t), 1);
  return layout.view(t);
}

void kthvalue(atled_frame* f) {
  const Tensor rows = rows_along(arg_tensor(f, 0), wrap_dim(arg_int(f, 2), arg_tensor(f, 0)->dl.ndim));
  const int64_t k = arg_int(f, 1);
  if (numel(out_tensor(f)) == 0) return;
  const Sorted order = sorted(rows, k);
  assign(flat(out_tensor(f, 0)), column(order.values, k - 1).get());
  assign(flat(out_tensor(f, 1)), column(order.indices, k - 1).get());
}

// Of the runs of equal elements in a sorted line, the longest, and the first of these: its length and the complement
// of where it ends, in one word that is larger for a better run. NaNs, all last, are all different.
template <class K>
__global__ void __launch_bounds__(kThreads)
    run_kernel(const K* sorted, unsigned long long* best, int64_t lines, int64_t n, int64_t parts, int dtype) {
  __shared__ unsigned long long found[kThreads];
  for (int64_t block = blockIdx.x; block < lines * parts; block += gridDim.x) {
    const int64_t line = block / parts;
    const K* x = sorted + line * n;
    unsigned long long here = 0;
    for (int64_t i = (block - line * parts) * blockDim.x + threadIdx.x; i < n; i += parts * blockDim.x) {
      const K key = key_as(x[i], dtype);
      const bool nan = is_nan_key(key, dtype);
      if (!nan && i + 1 < n && key_as(x[i + 1], dtype) == key) continue;
      int64_t low = nan ? i : 0, high = i;  // where the run begins
      while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (key_as(x[middle], dtype) < key)
          low = middle + 1;
        else
          high = middle;
      }
      const unsigned long long run = static_cast<unsigned long long>(i - low + 1) << 32 | (0xffffffffu - i);
      here = run > here ? run : here;
    }
    found[threadIdx.x] = here;
    for (uint32_t half = blockDim.x / 2; half > 0; half /= 2) {
      __syncthreads();
      if (threadIdx.x < half && found[threadIdx.x + half] > found[threadIdx.x])
        found[threadIdx.x] = found[threadIdx.x + half];
    }
    if (threadIdx.x == 0) atomicMax(best + line, found[0]);
    __syncthreads();
  }
}

template <class K>
__global__ void __launch_bounds__(kThreads)
    mode_kernel(const K* sorted, const int64_t* places, const unsigned long long* best, K* values, int64_t* indices,
                int64_t lines, int64_t n) {
  for (int64_t line = thread_index(); line < lines; line += thread_count()) {
    const int64_t at = line * n + (0xffffffffu - static_cast<uint32_t>(best[line]));
    values[line] = sorted[at];
    indices[line] = places[at];
  }
}

void mode(atled_frame* f) {
  const Tensor rows = rows_along(arg_tensor(f, 0), wrap_dim(arg_int(f, 1), arg_tensor(f, 0)->dl.ndim));
  const int64_t n = rows->dl.shape[rows->dl.ndim - 1], lines = numel(rows) / n;
  if (lines == 0) return;
  const Sorted order = sorted(rows, n);
  const DLDevice device = rows->dl.device;
  DeviceGuard current(device.device_id);
  const cudaStream_t stream = current_stream(device.device_id);
  const Tensor room = Tensor::empty(ATLED_UINT64, {lines}, device);
  assign(room, value(0));
  auto* best = data<unsigned long long>(room);
  int threads = 32;
  while (threads < kThreads && threads < n) threads *= 2;
  const int64_t parts = blocks_for(n, 16 * threads, 1024);
  visit_key(rows->dtype, [&](auto tag) {
    using K = typename decltype(tag)::type;
    const K* x = data<K>(order.values);
    launch(run_kernel<K>, blocks_for(lines * parts, 1), threads, stream, x, best, lines, n, parts, rows->dtype);
    launch(mode_kernel<K>, blocks_for(lines, kThreads), kThreads, stream, x, data<int64_t>(order.indices), best,
           data<K>(out_tensor(f, 0)), data<int64_t>(out_tensor(f, 1)), lines, n);
  });
}

void add_order_statistics() {
  cuda_kernel("core::ranked", kernel<ranked>);
  cuda_kernel("core::kthvalue", kernel<kthvalue>);
  cuda_kernel("core::mode", kernel<mode>);
}
ATLED_CUDA_KERNELS(add_order_statistics);

}  // namespace

}  // namespace atled::core::cuda
