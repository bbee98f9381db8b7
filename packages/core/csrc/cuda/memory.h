// The allocators of this process: device memory for each device, pinned host memory for all.
#pragma once

#include "cuda/caching_allocator.h"
#include "cuda/pinned_cache.h"

namespace atled::core::cuda {

// Made at the first use of a device; DeviceError where it cannot be used.
::atled::cuda::CachingAllocator& allocator(int device);
// NULL for a device that nothing has used: to ask must not take the memory that its context needs.
::atled::cuda::CachingAllocator* used_allocator(int device);
// The current device, or another that has a context: what is every device's is asked for there, for a device that
// nothing has used would get one by it.
int device_in_use();
::atled::cuda::PinnedCache& pinned_cache();
// The cache's memory, or what another library has pinned.
bool is_pinned(const void* pointer);
// A copy on the stream uses pinned memory of the cache.
void record_pinned(const void* pointer, int device, ::atled::cuda::Stream stream);

// Throws OutOfMemoryError or DeviceError.
void expect(const ::atled::cuda::Status& status);

}  // namespace atled::core::cuda
