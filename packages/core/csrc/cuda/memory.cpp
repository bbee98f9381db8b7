// Where device memory comes from: the driver's stream-ordered pools. What is freed may be used again by later work of
// the same stream at once; the pool keeps it rather than handing it back at each synchronisation.
#include <mutex>

#include "cuda/runtime.h"

namespace atled::core::cuda {

namespace {

void keep_pool(int device) {
  static std::once_flag once[64];
  std::call_once(once[device % 64], [device] {
    cudaMemPool_t pool = nullptr;
    expect(cudaDeviceGetDefaultMemPool(&pool, device), "find the device's memory pool");
    uint64_t everything = UINT64_MAX;
    expect(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &everything), "set up the memory pool");
  });
}

}  // namespace

void* allocate(int device, size_t nbytes, cudaStream_t stream) {
  keep_pool(device);
  void* pointer = nullptr;
  // Empty tensors have an address of their own, too.
  expect(cudaMallocAsync(&pointer, nbytes ? nbytes : 1, stream), "allocate device memory");
  return pointer;
}

// Destructors run until the very end of the process, when the driver may be gone already: nothing can be done then.
void release(int, void* pointer, size_t, cudaStream_t stream) noexcept {
  if (pointer && cudaFreeAsync(pointer, stream) != cudaSuccess) cudaGetLastError();
}

void trim(int device) {
  cudaMemPool_t pool = nullptr;
  expect(cudaDeviceGetDefaultMemPool(&pool, device), "find the device's memory pool");
  expect(cudaMemPoolTrimTo(pool, 0), "hand unused memory back");
}

}  // namespace atled::core::cuda
