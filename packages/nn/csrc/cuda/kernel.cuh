// What nn's CUDA kernels share: where a call runs, and sums over threads in an order that is always the same.
#pragma once

#include <cstring>

#include "atled/cuda.hpp"
#include "ops/operands.h"
#include "ops/rules.h"

namespace atled::nn {

using namespace atled::cuda;

constexpr uint32_t kAllLanes = 0xffffffff;

template <KernelFunction F>
void add_cuda_kernel(const char* op) {
  cuda_kernel(op, kernel<F>);
}

// A tensor's device as the current one, and its stream, until the end of a call.
class On {
 public:
  explicit On(const atled_tensor* t)
      : guard_(t->dl.device.device_id), stream_(current_stream(t->dl.device.device_id)) {}
  cudaStream_t stream() const { return stream_; }
  template <class... P, class... A>
  void run(void (*kernel)(P...), dim3 blocks, const A&... arguments) const {
    launch(kernel, blocks, kThreads, stream_, arguments...);
  }

 private:
  DeviceGuard guard_;
  cudaStream_t stream_;
};

// Whether all pointers allow accesses of 16 bytes.
template <class... P>
bool is_aligned(const P*... pointers) {
  return (... && (reinterpret_cast<uintptr_t>(pointers) % 16 == 0));
}

// ---- on the device ----

template <class T, int V>
static __device__ __forceinline__ Vector<T, V> load(const T* at) {
  return *reinterpret_cast<const Vector<T, V>*>(at);
}
template <class T, int V>
static __device__ __forceinline__ void store(T* at, const Vector<T, V>& v) {
#if defined(__SIZEOF_INT128__)
  // As a number: nvcc takes many stores of structs apart where loops are unrolled.
  if constexpr (sizeof v == sizeof(unsigned __int128)) {
    unsigned __int128 bits;
    memcpy(&bits, &v, sizeof v);
    *reinterpret_cast<unsigned __int128*>(at) = bits;
    return;
  }
#endif
  *reinterpret_cast<Vector<T, V>*>(at) = v;
}

// Mean, and sum of the squares of the distances from it, of `count` numbers.
struct Moments {
  double count = 0, mean = 0, squares = 0;
};

struct Pair2 {
  double a = 0, b = 0;
};

struct Join {
  __device__ double operator()(double x, double y) const { return x + y; }
  __device__ Pair2 operator()(const Pair2& x, const Pair2& y) const { return {x.a + y.a, x.b + y.b}; }
  // Chan et al. 1983
  __device__ Moments operator()(const Moments& x, const Moments& y) const {
    const double total = x.count + y.count;
    if (total == 0) return {};
    const double delta = y.mean - x.mean, share = y.count / total;
    return {total, x.mean + delta * share, x.squares + y.squares + delta * delta * x.count * share};
  }
};

static __device__ __forceinline__ double from_lane(double x, int step) { return __shfl_xor_sync(kAllLanes, x, step); }
static __device__ __forceinline__ Pair2 from_lane(const Pair2& x, int step) {
  return {from_lane(x.a, step), from_lane(x.b, step)};
}
static __device__ __forceinline__ Moments from_lane(const Moments& x, int step) {
  return {from_lane(x.count, step), from_lane(x.mean, step), from_lane(x.squares, step)};
}

// Joins the values of each `lanes` neighbouring threads, a power of two; all of them get the result. All threads of the
// block take part.
template <class X>
static __device__ __forceinline__ X across(X value, uint32_t lanes) {
  alignas(16) __shared__ char storage[kThreads / 32 * sizeof(X)];
  X* room = reinterpret_cast<X*>(storage);
  for (uint32_t step = 1; step < 32 && step < lanes; step *= 2) {
    const X other = from_lane(value, static_cast<int>(step));
    value = threadIdx.x & step ? Join{}(other, value) : Join{}(value, other);
  }
  if (lanes <= 32) return value;
  __syncthreads();  // the room is used again
  if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = value;
  __syncthreads();
  const uint32_t warps = lanes / 32, first = threadIdx.x / lanes * warps;
  value = room[first];
  for (uint32_t w = 1; w < warps; ++w) value = Join{}(value, room[first + w]);
  return value;
}

// Joins the values of the threads that are at the same place in each warp of the block.
template <class X>
static __device__ __forceinline__ X across_warps(X value) {
  alignas(16) __shared__ char storage[kThreads * sizeof(X)];
  X* room = reinterpret_cast<X*>(storage);
  __syncthreads();  // the room is used again
  room[threadIdx.x] = value;
  __syncthreads();
  value = room[threadIdx.x % 32];
  for (uint32_t t = threadIdx.x % 32 + 32; t < kThreads; t += 32) value = Join{}(value, room[t]);
  return value;
}

// The moments of the first `count` of up to N numbers that are held in registers.
template <int N, class A>
static __device__ __forceinline__ Moments moments(const A (&x)[N], int count) {
  if (count <= 0) return {};
  A sum = 0, rest = 0, squares = 0;
#pragma unroll
  for (int k = 0; k < N; ++k)
    if (k < count) sum += x[k];
  const A mean = sum / static_cast<A>(count);
#pragma unroll
  for (int k = 0; k < N; ++k)
    if (k < count) {
      const A d = x[k] - mean;
      rest += d;
      squares += d * d;
    }
  // What the mean lost when it was rounded.
  const double n = count, lost = static_cast<double>(rest) / n;
  return {n, static_cast<double>(mean) + lost, static_cast<double>(squares) - lost * static_cast<double>(rest)};
}

}  // namespace atled::nn
