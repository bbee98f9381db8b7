// CUDA's runtime for the rest of the folder: errors as atled's, and this thread's device and stream. All functions
// throw Error; any thread may call them. The runtime is linked statically and looks for the driver on its first call.
#pragma once

#include <string>

#include "atled/cuda.hpp"

namespace atled::core::cuda {

using atled::cuda::cuda_kernel;
using atled::cuda::DeviceGuard;
using atled::cuda::expect;

// How many devices there are; DeviceError, saying what was looked for, what was found and what to do, when none can be
// used.
int device_count();

// The calling thread's current stream on a device.
cudaStream_t current_stream(int device);
void set_current_stream(int device, cudaStream_t stream);

// Stream-ordered memory of the current device (memory.cpp).
void* allocate(int device, size_t nbytes, cudaStream_t stream);
void release(int device, void* pointer, size_t nbytes, cudaStream_t stream) noexcept;
void release_stream(int device, cudaStream_t stream);  // before it is destroyed
void trim(int device);
std::string memory_stats(int device);  // JSON, with the names of PyTorch's memory_stats

// Copies contiguous bytes on the destination's current stream, or the source's where the destination is the host.
// `waits` says whether host memory must have been read or written when the call returns.
void copy_bytes(void* dst, DLDevice to, const void* src, DLDevice from, size_t nbytes, atled_stream stream, bool waits);

// The "cuda" entry of core's device table (device.cpp), and the group "cuda" (group.cpp).
void add_device_table();
void publish_group();

}  // namespace atled::core::cuda
