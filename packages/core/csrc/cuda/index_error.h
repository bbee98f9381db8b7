// What a kernel that meets an index out of bounds leaves behind: one record for each device, in host memory that the
// device writes to. It is looked at whenever the host has waited, and before the next op that indexes; the error is
// raised there, once, for all that the device was given until then. Nothing waits for it, but with
// ATLED_CUDA_LAUNCH_BLOCKING=1 or CUDA_LAUNCH_BLOCKING=1, when each such op does and raises its own.
#pragma once

#include <cstdint>

#include "cuda/runtime.h"

namespace atled::core::cuda {

constexpr int32_t kNoDim = -1;  // indices from 0 on, of no dimension

using IndexErrorRecord = atled_cuda_index_error;
using IndexSite = atled_cuda_index_site;

// One call of an op that indexes, on the calling thread, from its start to its end.
class IndexCall {
 public:
  // Raises what an earlier call on the device has left.
  IndexCall(const atled_frame* frame, int device);
  ~IndexCall();
  IndexCall(const IndexCall&) = delete;
  IndexCall& operator=(const IndexCall&) = delete;
  // Where calls are to wait for their errors, waits and raises this one's.
  void finish() const;

 private:
  friend IndexSite current_index_site();
  IndexSite site_;
  int device_;
  const IndexCall* outer_;
};

// That of the innermost IndexCall.
IndexSite current_index_site();

// The same for kernels of other wheels, through the group "cuda".
IndexSite begin_index_call(const char* op, const char* name, int device);
void finish_index_call(const IndexSite& site, int device);

// BoundsError if the device's record has one; clears it. The host has waited, or need not know everything.
void raise_index_error(int device);

// A family's kernel as one IndexCall; the op's first tensor is on the device.
template <KernelFunction F>
int indexing_kernel(void*, atled_frame* frame) noexcept {
  return guard([&] {
    const IndexCall call(frame, arg_tensor(frame, 0)->dl.device.device_id);
    F(frame);
    call.finish();
  });
}

}  // namespace atled::core::cuda
