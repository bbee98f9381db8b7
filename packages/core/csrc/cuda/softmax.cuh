// What softmax and its gradient share.
#pragma once

#include "cuda/reduce.cuh"
#include "cuda/softmax_plan.h"
#include "functors/explog.h"
#include "functors/softmax.h"

namespace atled::core::cuda {

constexpr uint32_t kAllLanes = 0xffffffff;

// f over the values of the `lanes` threads that share a line, a power of two of neighbours; every thread gets the
// result. `room` has a place for each warp.
template <class A, class F>
static __device__ __forceinline__ A across(const F& f, A value, uint32_t lanes, A* room) {
  for (uint32_t step = 1; step < 32 && step < lanes; step *= 2)
    value = f(value, __shfl_xor_sync(kAllLanes, value, static_cast<int>(step)));
  if (lanes <= 32) return value;
  __syncthreads();  // the room is used again
  if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = value;
  __syncthreads();
  const uint32_t warps = lanes / 32, first = threadIdx.x / lanes * warps;
  value = room[first];
  for (uint32_t w = 1; w < warps; ++w) value = f(value, room[first + w]);
  return value;
}

template <class T>
using SoftmaxAcc = std::conditional_t<is_small_float<T>, float, T>;

}  // namespace atled::core::cuda
