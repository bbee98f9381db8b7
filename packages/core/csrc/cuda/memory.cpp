// Where device memory comes from: each device's caching allocator (docs/cuda-memory.md) over the CUDA runtime.
#include <memory>
#include <mutex>

#include "cuda/caching_allocator.h"
#include "cuda/cuda_driver.h"
#include "cuda/runtime.h"

namespace atled::core::cuda {

namespace {

using ::atled::cuda::CachingAllocator;
using ::atled::cuda::Driver;
using ::atled::cuda::Status;

void expect(const Status& status) {
  if (status) return;
  const bool exhausted = status.code == Status::kExhausted;
  fail(exhausted ? ATLED_E_MEMORY : ATLED_E_DEVICE, "%s", status.text.c_str());
}

constexpr int kMostDevices = 64;

struct Memory {
  std::unique_ptr<Driver> driver;
  std::unique_ptr<CachingAllocator> allocator;
};

// Made at the first use of a device, and never destroyed: at the end of the process the driver may be gone.
CachingAllocator& allocator_of(int device) {
  static Memory* const all = new Memory[kMostDevices];
  static std::once_flag made[kMostDevices];
  if (device < 0 || device >= kMostDevices)
    fail(ATLED_E_DEVICE, "cuda: expected a device index in [0, %d), got %d", kMostDevices, device);
  Memory& memory = all[device];
  std::call_once(made[device], [&] {
    Status status;
    memory.driver = ::atled::cuda::make_cuda_driver(device, &status);
    expect(status);
    memory.allocator = std::make_unique<CachingAllocator>(device, *memory.driver);
  });
  return *memory.allocator;
}

}  // namespace

void* allocate(int device, size_t nbytes, cudaStream_t stream) {
  void* pointer = nullptr;
  // Empty tensors have an address of their own, too.
  expect(allocator_of(device).allocate(nbytes ? nbytes : 1, stream, &pointer));
  return pointer;
}

// The last work on the block may be the current stream's, which need not be the one that it was allocated for. What
// fails here has nobody to tell: the block stays as it is.
void release(int device, void* pointer, size_t, cudaStream_t stream) noexcept {
  guard([&] {
    CachingAllocator& allocator = allocator_of(device);
    expect(allocator.record_stream(pointer, stream));
    expect(allocator.free(pointer));
  });
}

void release_stream(int device, cudaStream_t stream) { expect(allocator_of(device).release_stream(stream)); }

void trim(int device) { expect(allocator_of(device).empty_cache()); }

std::string memory_stats(int device) { return to_json(allocator_of(device).stats()); }

}  // namespace atled::core::cuda
