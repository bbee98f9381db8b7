// By which the blocks of a launch that share an output find out which of them is the last: it combines what all of them
// found, in order.
#pragma once

#include "cuda/runtime.h"
#include "functors/inline.h"

namespace atled::core::cuda {

constexpr int64_t kMostTickets = 2048;

// Counters for one launch on a stream of the current device, all 0; the launch leaves them so. They are the stream's,
// or in a capture the graph's, which may run beside the stream.
class Tickets {
 public:
  Tickets() = default;
  Tickets(DLDevice device, cudaStream_t stream, int64_t n);
  uint32_t* get() const { return counters_; }

 private:
  Tensor own_;
  uint32_t* counters_ = nullptr;
};

// What a stream's are to be given back with, before it is destroyed.
void release_tickets(int device, cudaStream_t stream);

#if defined(__CUDACC__) || defined(ATLED_EMULATED_CUDA)

// Whether this block is the last of `sharers` to come here; it then sees what all of them wrote before. Every thread of
// the block calls it.
static __device__ __forceinline__ bool is_last(uint32_t* ticket, uint32_t sharers) {
  __shared__ bool last;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicAdd(ticket, 1u) == sharers - 1;
    if (last) *ticket = 0;
    __threadfence();
  }
  __syncthreads();
  return last;
}

#endif

}  // namespace atled::core::cuda
