// Launches: on the tensors' device, on its current stream, with errors as atled's.
#pragma once

#include "cuda/geometry.h"
#include "cuda/runtime.h"

namespace atled::core::cuda {

constexpr int kThreads = 256;

// Runs kernel(arguments...) in `blocks` blocks; the device is the current one already.
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 blocks, int threads, cudaStream_t stream, const A&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = stream;
  expect(cudaLaunchKernelEx(&config, kernel, arguments...), "launch a kernel");
}

// This thread's index among all of the grid's first dimension, and how many there are.
static __device__ __forceinline__ uint32_t thread_index() { return blockIdx.x * blockDim.x + threadIdx.x; }
static __device__ __forceinline__ uint32_t thread_count() { return gridDim.x * blockDim.x; }

// A byte of device memory that kernels set to tell of bad elements; reading it waits for the stream. CPU kernels raise
// before they return, so these do as well.
class Flag {
 public:
  explicit Flag(DLDevice device)
      : stream_(current_stream(device.device_id)), byte_(Tensor::empty(ATLED_BOOL, {1}, device)) {
    expect(cudaMemsetAsync(get(), 0, 1, stream_), "fill with zeros");
  }
  bool* get() const { return static_cast<bool*>(byte_->dl.data); }
  bool is_set() const {
    bool answer = false;
    expect(cudaMemcpyAsync(&answer, get(), 1, cudaMemcpyDeviceToHost, stream_), "copy");
    expect(cudaStreamSynchronize(stream_), "finish a kernel");
    return answer;
  }

 private:
  cudaStream_t stream_;
  Tensor byte_;
};

}  // namespace atled::core::cuda
