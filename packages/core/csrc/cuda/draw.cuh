// Draws from a generator's stream: the CPU's numbers, for the same counters go to the same elements.
#pragma once

#include <algorithm>
#include <cstring>

#include "cuda/generate.cuh"
#include "cuda/graph.h"
#include "functors/random.h"
#include "functors/stream.h"

namespace atled::core::cuda {

// Writes N neighbouring elements that each thread of a warp has, aligned to 16 bytes or their size. Stores of
// neighbouring threads lie side by side: threads with 32 bytes change halves in pairs first.
template <int N, class T>
__device__ __forceinline__ void write_together(T* out, const T (&x)[4]) {
  constexpr int kBytes = N * sizeof(T);
  if constexpr (kBytes == 32) {
    using Half = Vector<uint64_t, 2>;
    uint64_t w[4];
    memcpy(w, x, sizeof w);
    const bool second = threadIdx.x & 1;
    Half low, high;
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const uint64_t got = __shfl_xor_sync(0xffffffff, second ? w[k] : w[2 + k], 1);
      low.item[k] = second ? got : w[k];
      high.item[k] = second ? w[2 + k] : got;
    }
    Half* to = reinterpret_cast<Half*>(out) - second;
    to[0] = low;
    to[2] = high;
  } else if constexpr (kBytes <= 16) {
    Vector<T, N> all;
#pragma unroll
    for (int j = 0; j < N; ++j) all.item[j] = x[j];
    *reinterpret_cast<Vector<T, N>*>(out) = all;
  } else {
    for (int j = 0; j < N; ++j) out[j] = x[j];
  }
}

// out[i * N + j] = x[j] for what is below n; called by whole warps, with the next i in the next thread.
template <int N, class T>
__device__ __forceinline__ void write_drawn(T* out, int64_t i, int64_t n, const T (&x)[4], bool aligned) {
  if (aligned && (i - threadIdx.x % 32 + 32) * N <= n) return write_together<N>(out + i * N, x);
  for (int j = 0; j < N; ++j)
    if (i * N + j < n) out[i * N + j] = x[j];
}
template <int N, class T>
bool can_write_together(const T* out) {
  return reinterpret_cast<uintptr_t>(out) % std::min<size_t>(16, N * sizeof(T)) == 0;
}

template <int kPer, class T, class F>
__global__ void __launch_bounds__(kThreads)
    draw_kernel(T* out, int64_t n, const atled_cuda_counters at, const F f, bool aligned) {
  const PhiloxStart start = philox_start(at);
  const int64_t counters = (n + kPer - 1) / kPer;
  for (int64_t i = thread_index(); i - threadIdx.x % 32 < counters; i += thread_count()) {
    T drawn[4];
    f(philox(start.seed, start.offset + static_cast<uint64_t>(i)), drawn);
    write_drawn<kPer>(out, i, n, drawn, aligned);
  }
}

template <int kPer, class T, class F>
void draw(const atled_tensor* t, T* out, int64_t n, const atled_value& generator, const F& f) {
  const int64_t counters = (n + kPer - 1) / kPer;
  const int index = t->dl.device.device_id;
  atled_generator* from = generator.tag == ATLED_GENERATOR ? generator.u.generator : nullptr;
  const atled_cuda_counters at = take_counters(index, from, static_cast<uint64_t>(counters));
  if (n == 0) return;
  DeviceGuard device(index);
  launch(draw_kernel<kPer, T, F>, blocks_for(counters, kThreads), kThreads, current_stream(index), out, n, at, f,
         can_write_together<kPer>(out));
}

// ---- checks of elements, which wait for the device: an op raises before it draws ----

template <class T, class Test>
__global__ void __launch_bounds__(kThreads)
    find_kernel(const T* x, int64_t n, int64_t step, const Test test, unsigned long long* first) {
  for (int64_t i = thread_index(); i < n; i += thread_count())
    if (!test(x[i * step])) atomicMin(first, static_cast<unsigned long long>(i));
}

// Calls fail with the first of n elements, `step` apart, that test refuses.
template <class T, class Test, class Fail>
void expect_each(DLDevice where, const T* x, int64_t n, int64_t step, const Test& test, Fail&& fail) {
  if (n == 0) return;
  DeviceGuard device(where.device_id);
  const cudaStream_t stream = current_stream(where.device_id);
  const Tensor room = Tensor::empty(ATLED_UINT64, {1}, where);
  auto* first = data<unsigned long long>(room);
  expect(cudaMemsetAsync(first, 0xff, sizeof *first, stream), "fill with ones");
  launch(find_kernel<T, Test>, blocks_for(n, kThreads), kThreads, stream, x, n, step, test, first);
  unsigned long long found = 0;
  expect(cudaMemcpyAsync(&found, first, sizeof found, cudaMemcpyDeviceToHost, stream), "copy");
  expect(cudaStreamSynchronize(stream), "finish a kernel");
  if (found == ~0ull) return;
  T wrong;
  expect(cudaMemcpyAsync(&wrong, x + static_cast<int64_t>(found) * step, sizeof wrong, cudaMemcpyDeviceToHost, stream),
         "copy");
  expect(cudaStreamSynchronize(stream), "finish a copy");
  fail(wrong);
}

}  // namespace atled::core::cuda
