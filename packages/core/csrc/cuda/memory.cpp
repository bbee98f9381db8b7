// Where device memory comes from: each device's caching allocator (docs/cuda-memory.md) over the CUDA runtime, which is
// told the line of the user's program that allocates.
#include "cuda/memory.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>

#include "cuda/cuda_driver.h"
#include "cuda/runtime.h"

namespace atled::core::cuda {

namespace {

using ::atled::cuda::AllocatorOptions;
using ::atled::cuda::CachingAllocator;
using ::atled::cuda::Driver;
using ::atled::cuda::PinnedCache;
using ::atled::cuda::Site;
using ::atled::cuda::Status;
using ::atled::cuda::Stream;

constexpr int kMostDevices = 64;

// Nothing where core knows no sites.
Site take_site() {
  Site site;
  if (py_group->take_site(site.words) != ATLED_OK) api.clear_error();
  return site;
}
void release_site(Site site) { py_group->release_site(site.words); }
void site_text(Site site, char* text, size_t size) { py_group->site_text(site.words, text, size); }

AllocatorOptions options() {
  AllocatorOptions chosen;
  const char* wanted = std::getenv("ATLED_CUDA_SITES");
  uint64_t words[2] = {0, 0};
  if (wanted && std::strcmp(wanted, "0") == 0) return chosen;
  if (py_group->take_site(words) != ATLED_OK) {
    api.clear_error();
    return chosen;
  }
  py_group->release_site(words);
  chosen.sites = {take_site, release_site, site_text};
  return chosen;
}

struct Memory {
  std::once_flag made;
  std::atomic<bool> used{false};
  std::unique_ptr<Driver> driver;
  std::unique_ptr<CachingAllocator> allocator;
};

// Never destroyed: at the end of the process the driver may be gone.
Memory& place_of(int device) {
  static Memory* const all = new Memory[kMostDevices];
  if (device < 0 || device >= kMostDevices)
    fail(ATLED_E_DEVICE, "cuda: expected a device index in [0, %d), got %d", kMostDevices, device);
  return all[device];
}

Memory& memory_of(int device) {
  Memory& memory = place_of(device);
  std::call_once(memory.made, [&] {
    Status status;
    memory.driver = ::atled::cuda::make_cuda_driver(device, &status);
    expect(status);
    memory.allocator = std::make_unique<CachingAllocator>(device, *memory.driver, options());
    memory.used = true;
  });
  return memory;
}

}  // namespace

void expect(const Status& status) {
  if (status) return;
  const bool exhausted = status.code == Status::kExhausted;
  throw Error(exhausted ? ATLED_E_MEMORY : ATLED_E_DEVICE, status.text);
}

CachingAllocator& allocator(int device) { return *memory_of(device).allocator; }

CachingAllocator* used_allocator(int device) {
  Memory& memory = place_of(device);
  return memory.used ? memory.allocator.get() : nullptr;
}

int device_in_use() {
  int current = 0;
  expect(cudaGetDevice(&current), "ask for the current device");
  if (current < kMostDevices && place_of(current).used) return current;
  for (int device = 0; device < std::min(device_count(), kMostDevices); ++device)
    if (place_of(device).used) return device;
  return current;
}

PinnedCache& pinned_cache() {
  static PinnedCache* const cache = new PinnedCache(*memory_of(device_in_use()).driver);
  return *cache;
}

bool is_pinned(const void* pointer) {
  if (pinned_cache().contains(pointer)) return true;
  const DeviceGuard guard(device_in_use());
  cudaPointerAttributes attributes{};
  const bool known = cudaPointerGetAttributes(&attributes, pointer) == cudaSuccess;
  if (!known) cudaGetLastError();
  return known && attributes.type == cudaMemoryTypeHost;
}

void record_pinned(const void* pointer, int device, Stream stream) {
  pinned_cache().record(pointer, {memory_of(device).driver.get(), stream});
}

void* allocate(int device, size_t nbytes, cudaStream_t stream) {
  void* pointer = nullptr;
  // Empty tensors have an address of their own, too.
  expect(allocator(device).allocate(nbytes ? nbytes : 1, stream, &pointer));
  return pointer;
}

// The last work on the block may be the current stream's, which need not be the one that it was allocated for. What
// fails here has nobody to tell: the block stays as it is.
void release(int device, void* pointer, size_t, cudaStream_t stream) noexcept {
  guard([&] {
    CachingAllocator& memory = allocator(device);
    expect(memory.record_stream(pointer, stream));
    expect(memory.free(pointer));
  });
}

void release_stream(int device, cudaStream_t stream) { expect(allocator(device).release_stream(stream)); }

void trim(int device) {
  if (CachingAllocator* used = used_allocator(device)) expect(used->empty_cache());
}

std::string memory_stats(int device) {
  CachingAllocator* used = used_allocator(device);
  return to_json(used ? used->stats() : ::atled::cuda::MemoryStats());
}

}  // namespace atled::core::cuda
