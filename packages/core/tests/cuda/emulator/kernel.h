// What a .cu file needs to be compiled by a host compiler: included before it (-include).
//
// A kernel is an ordinary function that is called once for each thread, each on a stack of its own, so that barriers
// and exchanges between lanes work as they do on a device.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#define ATLED_EMULATED_CUDA
#undef __shared__
#define __shared__ static  // blocks run one after the other
#ifndef __grid_constant__
#define __grid_constant__
#endif
#undef __noinline__
#define __noinline__ __attribute__((noinline))
#ifndef __launch_bounds__
#define __launch_bounds__(...)
#endif

extern uint3 threadIdx, blockIdx;  // the running thread's
extern dim3 blockDim, gridDim;

namespace atled::emulator {

constexpr int kWarp = 32;

cudaError_t launch(dim3 grid, dim3 block, size_t shared, cudaStream_t stream, std::function<void()> kernel);
void block_barrier();
void warp_barrier(uint32_t mask);
char* warp_slot(int lane);  // 8 bytes
int lane();

template <class T>
T exchanged(uint32_t mask, T value, int from) {
  static_assert(sizeof(T) <= 8, "a shuffle takes up to 8 bytes");
  std::memcpy(warp_slot(lane()), &value, sizeof value);
  warp_barrier(mask);
  T other;
  std::memcpy(&other, warp_slot(from >= 0 && from < kWarp && (mask >> from & 1) ? from : lane()), sizeof other);
  warp_barrier(mask);
  return other;
}

}  // namespace atled::emulator

constexpr int warpSize = 32;

template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... arguments) {
  static_assert((0 + ... + sizeof(std::decay_t<P>)) <= 4096, "a kernel's parameters take at most 4 KB");
  std::tuple<std::decay_t<P>...> kept(static_cast<std::decay_t<P>>(arguments)...);
  return atled::emulator::launch(config->gridDim, config->blockDim, config->dynamicSmemBytes, config->stream,
                                 [kernel, kept] { std::apply(kernel, kept); });
}

// ---- barriers, and what lanes tell each other ----

inline void __syncthreads() { atled::emulator::block_barrier(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { atled::emulator::warp_barrier(mask); }
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
  const int lane = atled::emulator::lane();
  return atled::emulator::exchanged(mask, value, (lane & ~(width - 1)) + (from & (width - 1)));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  const int lane = atled::emulator::lane(), from = lane ^ bits;
  return atled::emulator::exchanged(mask, value, (from & ~(width - 1)) <= (lane & ~(width - 1)) ? from : lane);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = atled::emulator::lane(), inside = lane & (width - 1);
  return atled::emulator::exchanged(mask, value,
                                    inside + static_cast<int>(by) < width ? lane + static_cast<int>(by) : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = atled::emulator::lane(), inside = lane & (width - 1);
  return atled::emulator::exchanged(mask, value, inside >= static_cast<int>(by) ? lane - static_cast<int>(by) : lane);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const unsigned mine = predicate ? 1 : 0;
  std::memcpy(atled::emulator::warp_slot(atled::emulator::lane()), &mine, sizeof mine);
  atled::emulator::warp_barrier(mask);
  unsigned all = 0;
  for (int lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1) {
      unsigned other;
      std::memcpy(&other, atled::emulator::warp_slot(lane), sizeof other);
      all |= other << lane;
    }
  atled::emulator::warp_barrier(mask);
  return all;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }
inline unsigned __activemask() { return 0xffffffffu; }

// ---- memory; threads take turns, so that each of these is one step ----

template <class T>
T __ldg(const T* at) {
  return *at;
}
template <class T, class F>
T atled_emulator_replace(T* at, F&& next) {
  const T before = *at;
  *at = next(before);
  return before;
}
template <class T, class U>
T atomicAdd(T* at, U value) {
  return atled_emulator_replace(at, [&](T x) { return static_cast<T>(x + static_cast<T>(value)); });
}
template <class T, class U>
T atomicMin(T* at, U value) {
  return atled_emulator_replace(at, [&](T x) { return static_cast<T>(value) < x ? static_cast<T>(value) : x; });
}
template <class T, class U>
T atomicMax(T* at, U value) {
  return atled_emulator_replace(at, [&](T x) { return x < static_cast<T>(value) ? static_cast<T>(value) : x; });
}
template <class T, class U>
T atomicOr(T* at, U value) {
  return atled_emulator_replace(at, [&](T x) { return static_cast<T>(x | static_cast<T>(value)); });
}
template <class T, class U>
T atomicAnd(T* at, U value) {
  return atled_emulator_replace(at, [&](T x) { return static_cast<T>(x & static_cast<T>(value)); });
}
template <class T, class U>
T atomicXor(T* at, U value) {
  return atled_emulator_replace(at, [&](T x) { return static_cast<T>(x ^ static_cast<T>(value)); });
}
template <class T, class U>
T atomicExch(T* at, U value) {
  return atled_emulator_replace(at, [&](T) { return static_cast<T>(value); });
}
template <class T, class U, class V>
T atomicCAS(T* at, U expected, V value) {
  return atled_emulator_replace(at, [&](T x) { return x == static_cast<T>(expected) ? static_cast<T>(value) : x; });
}

// ---- bits ----

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline int __float_as_int(float x) {
  int bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline unsigned __float_as_uint(float x) { return static_cast<unsigned>(__float_as_int(x)); }
inline float __int_as_float(int x) {
  float value;
  std::memcpy(&value, &x, sizeof value);
  return value;
}
inline float __uint_as_float(unsigned x) { return __int_as_float(static_cast<int>(x)); }
inline long long __double_as_longlong(double x) {
  long long bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline double __longlong_as_double(long long x) {
  double value;
  std::memcpy(&value, &x, sizeof value);
  return value;
}
