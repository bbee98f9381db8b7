// Devices and their memory: ranges of addresses that the host cannot read or write between kernels, as on a real
// device, where that is an access violation.
//
// ATLED_EMULATOR_DEVICES   how many devices there are (2)
// ATLED_EMULATOR_MEMORY    MB of each (2048)
#include <cuda.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "emulator.h"

namespace atled::emulator {

namespace {

constexpr size_t kRange = size_t{1} << 40;  // addresses of one device, of which few are ever used
constexpr size_t kPage = size_t{2} << 20;
// What new memory holds: NaN as floats, and as integers no index of anything.
constexpr int kGarbage = 0xff;
constexpr size_t kMostGarbage = size_t{64} << 20;

struct Device {
  char* base = nullptr;
  size_t next = 0;               // addresses that were given out
  size_t used = 0;               // bytes that have memory
  std::map<char*, size_t> live;  // with memory
};
Device devices[kMostDevices];
std::map<const char*, size_t> pinned;
std::map<uint64_t, size_t> chunks;  // of the virtual memory API
uint64_t last_chunk = 0;
int open_ = 0;
bool contexts[kMostDevices] = {};
thread_local cudaError_t last_error = cudaSuccess;

size_t capacity() {
  static const size_t bytes = static_cast<size_t>(setting("ATLED_EMULATOR_MEMORY", 2048)) << 20;
  return bytes;
}

size_t rounded(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

Device& device(int index) {
  Device& d = devices[index];
  if (!d.base) {
    void* mapped = mmap(nullptr, kRange + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) refuse("no addresses for a device's memory");
    d.base = reinterpret_cast<char*>(rounded(reinterpret_cast<size_t>(mapped)));
    madvise(d.base, kRange, MADV_HUGEPAGE);  // few pages to protect
  }
  return d;
}

void protect(int how) {
  for (Device& d : devices)
    for (const auto& [at, size] : d.live)
      if (mprotect(at, size, how)) refuse("mprotect failed");
}

char* take_addresses(Device& d, size_t bytes) {
  char* at = d.base + d.next;
  d.next += rounded(bytes) + kPage;  // with nothing behind it
  if (d.next > kRange) refuse("no addresses left");
  return at;
}

void give_memory(Device& d, char* at, size_t bytes) {
  if (mprotect(at, bytes, PROT_READ | PROT_WRITE)) refuse("mprotect failed");
  std::memset(at, kGarbage, bytes < kMostGarbage ? bytes : kMostGarbage);
  if (!open_ && mprotect(at, bytes, PROT_NONE)) refuse("mprotect failed");
  d.live[at] = bytes;
  d.used += bytes;
}

void take_memory(Device& d, std::map<char*, size_t>::iterator found) {
  d.used -= found->second;
  madvise(found->first, found->second, MADV_DONTNEED);
  if (mprotect(found->first, found->second, PROT_NONE)) refuse("mprotect failed");
  d.live.erase(found);
}

Device* owner(const void* pointer) {
  for (Device& d : devices)
    if (d.base && pointer >= d.base && pointer < d.base + kRange) return &d;
  return nullptr;
}

template <class Map>
auto containing(Map& map, const void* pointer) {
  auto it = map.upper_bound(static_cast<char*>(const_cast<void*>(pointer)));
  if (it == map.begin()) return map.end();
  --it;
  return static_cast<const char*>(pointer) < it->first + it->second ? it : map.end();
}

// ---- the virtual memory API ----

CUresult reserve(CUdeviceptr* out, size_t bytes, size_t, CUdeviceptr, unsigned long long) {
  Guard guard(lock());
  *out = reinterpret_cast<CUdeviceptr>(take_addresses(device(current_device()), bytes));
  return CUDA_SUCCESS;
}
CUresult unreserve(CUdeviceptr, size_t) { return CUDA_SUCCESS; }
CUresult create(CUmemGenericAllocationHandle* out, size_t bytes, const CUmemAllocationProp* how, unsigned long long) {
  Guard guard(lock());
  if (bytes % kPage) return CUDA_ERROR_INVALID_VALUE;
  Device& d = device(how->location.id);
  if (d.used + bytes > capacity()) return CUDA_ERROR_OUT_OF_MEMORY;
  *out = ++last_chunk;
  chunks[last_chunk] = bytes;
  return CUDA_SUCCESS;
}
CUresult release(CUmemGenericAllocationHandle chunk) {
  Guard guard(lock());
  return chunks.erase(chunk) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult map_chunk(CUdeviceptr at, size_t bytes, size_t offset, CUmemGenericAllocationHandle chunk,
                   unsigned long long) {
  Guard guard(lock());
  Device* d = owner(reinterpret_cast<void*>(at));
  const auto found = chunks.find(chunk);
  if (!d || offset || found == chunks.end() || found->second != bytes || d->live.count(reinterpret_cast<char*>(at)))
    return CUDA_ERROR_INVALID_VALUE;
  give_memory(*d, reinterpret_cast<char*>(at), bytes);
  return CUDA_SUCCESS;
}
CUresult unmap(CUdeviceptr at, size_t bytes) {
  Guard guard(lock());
  Device* d = owner(reinterpret_cast<void*>(at));
  if (!d) return CUDA_ERROR_INVALID_VALUE;
  finish_device(static_cast<int>(d - devices));
  const auto found = d->live.find(reinterpret_cast<char*>(at));
  if (found == d->live.end() || found->second != bytes) return CUDA_ERROR_INVALID_VALUE;
  take_memory(*d, found);
  return CUDA_SUCCESS;
}
CUresult set_access(CUdeviceptr, size_t, const CUmemAccessDesc*, size_t) { return CUDA_SUCCESS; }
CUresult granularity(size_t* out, const CUmemAllocationProp*, CUmemAllocationGranularity_flags) {
  *out = kPage;
  return CUDA_SUCCESS;
}
CUresult attribute(int* out, CUdevice_attribute which, CUdevice) {
  *out = which == CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED;
  return CUDA_SUCCESS;
}
CUresult error_string(CUresult, const char** out) {
  *out = "an error of the emulated driver";
  return CUDA_SUCCESS;
}

// ---- contexts: a device's stands for the device ----

thread_local std::vector<int> entered;  // what was current before

CUresult init(unsigned) { return CUDA_SUCCESS; }
CUresult retain_context(CUcontext* out, CUdevice index) {
  if (index < 0 || index >= device_count()) return CUDA_ERROR_INVALID_DEVICE;
  contexts[index] = true;
  *out = reinterpret_cast<CUcontext>(&contexts[index]);
  return CUDA_SUCCESS;
}
CUresult push_context(CUcontext context) {
  entered.push_back(current_device());
  current_device() = static_cast<int>(reinterpret_cast<bool*>(context) - contexts);
  return CUDA_SUCCESS;
}
CUresult pop_context(CUcontext* out) {
  if (entered.empty()) return CUDA_ERROR_INVALID_CONTEXT;
  *out = reinterpret_cast<CUcontext>(&contexts[current_device()]);
  current_device() = entered.back();
  entered.pop_back();
  return CUDA_SUCCESS;
}

}  // namespace

Lock& lock() {
  static auto* mutex = new Lock;
  return *mutex;
}

void Lock::pause() {
  const int depth = depth_;
  for (int i = 0; i < depth; ++i) unlock();
  std::this_thread::sleep_for(std::chrono::microseconds(50));
  for (int i = 0; i < depth; ++i) lock();
}

cudaError_t answer(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

void refuse(const char* why) {
  std::fprintf(stderr, "CUDA emulator: %s\n", why);
  std::abort();
}

long setting(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtol(text, nullptr, 10) : otherwise;
}

int device_count() {
  static const int count = static_cast<int>(setting("ATLED_EMULATOR_DEVICES", 2));
  return count < 0 ? 0 : count > kMostDevices ? kMostDevices : count;
}

int& current_device() {
  thread_local int current = 0;
  return current;
}
void use_context() { contexts[current_device()] = true; }
bool has_context(int device) { return device >= 0 && device < kMostDevices && contexts[device]; }

void open_memory() {
  lock().lock();
  if (open_++ == 0) protect(PROT_READ | PROT_WRITE);
}
void close_memory() {
  if (--open_ == 0) protect(PROT_NONE);
  lock().unlock();
}

bool on_device(const void* pointer, int* index) {
  Guard guard(lock());
  const Device* d = owner(pointer);
  if (d && index) *index = static_cast<int>(d - devices);
  return d != nullptr;
}

bool is_pinned(const void* pointer) {
  Guard guard(lock());
  auto it = pinned.upper_bound(static_cast<const char*>(pointer));
  if (it == pinned.begin()) return false;
  --it;
  return static_cast<const char*>(pointer) < it->first + it->second;
}

}  // namespace atled::emulator

using namespace atled::emulator;

// For tests with a stand-in for a library that works on device memory: all work done, opens it to this host thread,
// which must close it again.
extern "C" __attribute__((visibility("default"))) void atled_emulator_open() {
  Guard guard(lock());
  for (int index = 0; index < device_count(); ++index) finish_device(index);
  open_memory();
}
extern "C" __attribute__((visibility("default"))) void atled_emulator_close() { close_memory(); }

extern "C" {

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }
const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
    default:
      return "an error of the emulator";
  }
}
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }

cudaError_t cudaGetDeviceCount(int* out) {
  *out = device_count();
  return answer(*out ? cudaSuccess : cudaErrorNoDevice);
}
cudaError_t cudaGetDevice(int* out) {
  *out = current_device();
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int index) {
  if (index < 0 || index >= device_count()) return answer(cudaErrorInvalidDevice);
  current_device() = index;
  use_context();
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* out) {
  *out = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* out) { return cudaDriverGetVersion(out); }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* out, int index) {
  if (index < 0 || index >= device_count()) return answer(cudaErrorInvalidDevice);
  *out = cudaDeviceProp{};
  std::snprintf(out->name, sizeof out->name, "emulated device %d", index);
  out->major = 9;
  out->totalGlobalMem = capacity();
  out->multiProcessorCount = 132;
  out->warpSize = 32;
  out->maxThreadsPerBlock = 1024;
  out->maxThreadsPerMultiProcessor = 2048;
  out->sharedMemPerBlock = 48 << 10;
  out->regsPerBlock = 65536;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* out, cudaDeviceAttr which, int index) {
  if (index < 0 || index >= device_count()) return answer(cudaErrorInvalidDevice);
  switch (which) {
    case cudaDevAttrComputeCapabilityMajor:
      *out = 9;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *out = 0;
      break;
    case cudaDevAttrMultiProcessorCount:
      *out = 132;
      break;
    case cudaDevAttrMaxThreadsPerBlock:
      *out = 1024;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *out = 2048;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *out = 48 << 10;
      break;
    case cudaDevAttrWarpSize:
      *out = 32;
      break;
    default:
      return answer(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int* out, int index, int peer) {
  *out = index != peer;
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  use_context();
  Guard guard(lock());
  *total = capacity();
  *free = capacity() - device(current_device()).used;
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** out, size_t bytes) {
  use_context();
  Guard guard(lock());
  if (const cudaError_t error = allowed_now()) return answer(error);
  Device& d = device(current_device());
  const size_t size = rounded(bytes);
  if (d.used + size > capacity()) return answer(cudaErrorMemoryAllocation);
  char* at = take_addresses(d, size);
  give_memory(d, at, size);
  *out = at;
  return cudaSuccess;
}
cudaError_t cudaFree(void* pointer) {
  use_context();
  Guard guard(lock());
  if (!pointer) return cudaSuccess;
  if (const cudaError_t error = allowed_now()) return answer(error);
  Device* d = owner(pointer);
  if (!d) return answer(cudaErrorInvalidValue);
  finish_device(static_cast<int>(d - devices));
  const auto found = d->live.find(static_cast<char*>(pointer));
  if (found == d->live.end()) return answer(cudaErrorInvalidValue);
  take_memory(*d, found);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** out, size_t bytes, unsigned) {
  use_context();
  Guard guard(lock());
  if (const cudaError_t error = allowed_now()) return answer(error);
  *out = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  if (!*out) return answer(cudaErrorMemoryAllocation);
  pinned[static_cast<char*>(*out)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** out, size_t bytes) { return cudaHostAlloc(out, bytes, 0); }
cudaError_t cudaFreeHost(void* pointer) {
  use_context();
  Guard guard(lock());
  for (int index = 0; index < device_count(); ++index) finish_device(index);
  if (!pinned.erase(static_cast<char*>(pointer))) return answer(cudaErrorInvalidValue);
  std::free(pointer);
  return cudaSuccess;
}
cudaError_t cudaHostGetDevicePointer(void** out, void* pointer, unsigned) {
  use_context();
  *out = pointer;
  return is_pinned(pointer) ? cudaSuccess : answer(cudaErrorInvalidValue);
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* out, const void* pointer) {
  use_context();
  *out = cudaPointerAttributes{};
  int index = 0;
  const bool device_memory = on_device(pointer, &index);
  out->type = device_memory        ? cudaMemoryTypeDevice
              : is_pinned(pointer) ? cudaMemoryTypeHost
                                   : cudaMemoryTypeUnregistered;
  out->device = index;
  return cudaSuccess;
}

// Host memory that is not pinned has been read, or written, when the call returns.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  Guard guard(lock());
  if (bytes == 0) return cudaSuccess;
  const bool reads_host = !on_device(from) && !is_pinned(from), writes_host = !on_device(to) && !is_pinned(to);
  if (capturing(stream) && (reads_host || writes_host)) return answer(cudaErrorStreamCaptureUnsupported);
  if (reads_host) {
    auto staged =
        std::make_shared<std::vector<char>>(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
    const cudaError_t error = enqueue(stream, [=] { std::memcpy(to, staged->data(), bytes); });
    return answer(error != cudaSuccess || !writes_host ? error : finish(stream));
  }
  const cudaError_t error = enqueue(stream, [=] { std::memmove(to, from, bytes); });
  return answer(error != cudaSuccess || !writes_host ? error : finish(stream));
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  return error == cudaSuccess ? answer(finish(nullptr)) : error;
}
cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes, cudaStream_t stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream);
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  if (!on_device(to) && !is_pinned(to)) return answer(cudaErrorInvalidValue);
  return answer(enqueue(stream, [=] { std::memset(to, value, bytes); }));
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** out, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  const struct {
    const char* name;
    void* function;
  } known[] = {{"cuMemAddressReserve", reinterpret_cast<void*>(reserve)},
               {"cuMemAddressFree", reinterpret_cast<void*>(unreserve)},
               {"cuMemCreate", reinterpret_cast<void*>(create)},
               {"cuMemRelease", reinterpret_cast<void*>(release)},
               {"cuMemMap", reinterpret_cast<void*>(map_chunk)},
               {"cuMemUnmap", reinterpret_cast<void*>(unmap)},
               {"cuMemSetAccess", reinterpret_cast<void*>(set_access)},
               {"cuMemGetAllocationGranularity", reinterpret_cast<void*>(granularity)},
               {"cuDeviceGetAttribute", reinterpret_cast<void*>(attribute)},
               {"cuGetErrorString", reinterpret_cast<void*>(error_string)},
               {"cuInit", reinterpret_cast<void*>(init)},
               {"cuDevicePrimaryCtxRetain", reinterpret_cast<void*>(retain_context)},
               {"cuCtxPushCurrent", reinterpret_cast<void*>(push_context)},
               {"cuCtxPopCurrent", reinterpret_cast<void*>(pop_context)}};
  for (const auto& one : known)
    if (!std::strcmp(one.name, name)) {
      *out = one.function;
      *result = cudaDriverEntryPointSuccess;
      return cudaSuccess;
    }
  *result = cudaDriverEntryPointSymbolNotFound;
  return answer(cudaErrorInvalidValue);
}

}  // extern "C"
