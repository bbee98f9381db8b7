// Launches: on the tensors' device, on its current stream, with errors as atled's.
#pragma once

#include "cuda/geometry.h"
#include "cuda/runtime.h"

namespace atled::core::cuda {

using atled::cuda::blocks_for;
using atled::cuda::kThreads;
using atled::cuda::launch;
using atled::cuda::thread_count;
using atled::cuda::thread_index;
using atled::cuda::Vector;

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
