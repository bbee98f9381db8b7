#include "cuda_driver.h"

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "contexts.h"

namespace atled::cuda {
namespace {

// Runs with the device current, and with the thread's captures relaxed: what an allocator does beside a capture is not
// part of it.
class Scope {
 public:
  explicit Scope(int device) {
    int before = 0;
    status_ = cudaGetDevice(&before);
    if (status_ == cudaSuccess && before != device) {
      status_ = enter_device(device);
      entered_ = status_ == cudaSuccess;
    }
    relaxed_ = cudaThreadExchangeStreamCaptureMode(&mode_) == cudaSuccess;
  }
  ~Scope() {
    if (relaxed_) (void)cudaThreadExchangeStreamCaptureMode(&mode_);
    if (entered_) (void)leave_device();
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  cudaError_t status() const { return status_; }

 private:
  cudaError_t status_;
  bool entered_ = false, relaxed_;
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

Status from_runtime(cudaError_t error) {
  if (error == cudaSuccess) return {};
  (void)cudaGetLastError();  // an error that is answered must not show again at the next launch
  const bool exhausted = error == cudaErrorMemoryAllocation;
  return {exhausted ? Status::kExhausted : Status::kFailed,
          std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error)};
}

// The functions of the driver API that expandable segments need; all or none.
struct VirtualMemory {
  decltype(&cuMemAddressReserve) reserve = nullptr;
  decltype(&cuMemAddressFree) unreserve = nullptr;
  decltype(&cuMemCreate) create = nullptr;
  decltype(&cuMemRelease) release = nullptr;
  decltype(&cuMemMap) map = nullptr;
  decltype(&cuMemUnmap) unmap = nullptr;
  decltype(&cuMemSetAccess) set_access = nullptr;
  decltype(&cuMemGetAllocationGranularity) granularity = nullptr;
  decltype(&cuDeviceGetAttribute) attribute = nullptr;
  decltype(&cuGetErrorString) error_string = nullptr;

  bool load() {
    return find_in_driver("cuMemAddressReserve", &reserve) && find_in_driver("cuMemAddressFree", &unreserve) &&
           find_in_driver("cuMemCreate", &create) && find_in_driver("cuMemRelease", &release) &&
           find_in_driver("cuMemMap", &map) && find_in_driver("cuMemUnmap", &unmap) &&
           find_in_driver("cuMemSetAccess", &set_access) &&
           find_in_driver("cuMemGetAllocationGranularity", &granularity) &&
           find_in_driver("cuDeviceGetAttribute", &attribute) && find_in_driver("cuGetErrorString", &error_string);
  }
};

CUdeviceptr device_address(void* ptr) { return static_cast<CUdeviceptr>(reinterpret_cast<uintptr_t>(ptr)); }

class CudaDriver : public Driver {
 public:
  explicit CudaDriver(int device) : device_(device) {}

  Status start() {
    Scope scope(device_);
    if (scope.status() != cudaSuccess) return from_runtime(scope.status());
    const cudaError_t error = cudaFree(nullptr);  // makes the context, or says why there is none
    if (error != cudaSuccess) return from_runtime(error);
    int supported = 0;
    if (!memory_.load() ||
        memory_.attribute(&supported, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, device_) || !supported)
      return {};
    properties_.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties_.location = {CU_MEM_LOCATION_TYPE_DEVICE, {device_}};
    int rdma = 0;  // network cards may read and write such memory, where the system lets them
    if (!memory_.attribute(&rdma, CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED, device_) && rdma)
      properties_.allocFlags.gpuDirectRDMACapable = 1;
    if (memory_.granularity(&granularity_, &properties_, CU_MEM_ALLOC_GRANULARITY_MINIMUM)) granularity_ = 0;
    return {};
  }

  Status memory_info(size_t* free, size_t* total) override {
    return call([&] { return cudaMemGetInfo(free, total); });
  }
  Status allocate(size_t bytes, void** out) override {
    return call([&] { return cudaMalloc(out, bytes); });
  }
  Status release(void* memory) override {
    return call([&] { return cudaFree(memory); });
  }

  size_t granularity() override { return granularity_; }
  Status reserve(size_t bytes, void** out) override {
    Scope scope(device_);
    CUdeviceptr address = 0;
    Status status = from_driver(memory_.reserve(&address, bytes, 0, 0, 0));
    *out = reinterpret_cast<void*>(static_cast<uintptr_t>(address));
    return status;
  }
  Status unreserve(void* base, size_t bytes) override {
    Scope scope(device_);
    return from_driver(memory_.unreserve(device_address(base), bytes));
  }
  Status map(void* at, size_t bytes, Chunk* out) override {
    Scope scope(device_);
    CUmemGenericAllocationHandle handle = 0;
    CUresult result = memory_.create(&handle, bytes, &properties_, 0);
    if (result && properties_.allocFlags.gpuDirectRDMACapable && result != CUDA_ERROR_OUT_OF_MEMORY) {
      CUmemAllocationProp without = properties_;  // the device can, but the system does not allow it
      without.allocFlags.gpuDirectRDMACapable = 0;
      result = memory_.create(&handle, bytes, &without, 0);
    }
    if (result) return from_driver(result);
    result = memory_.map(device_address(at), bytes, 0, handle, 0);
    if (result) {
      (void)memory_.release(handle);
      return from_driver(result);
    }
    CUmemAccessDesc access{};
    access.location = properties_.location;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    result = memory_.set_access(device_address(at), bytes, &access, 1);
    if (result) {
      (void)memory_.unmap(device_address(at), bytes);
      (void)memory_.release(handle);
      return from_driver(result);
    }
    *out = handle;
    return {};
  }
  Status unmap(void* at, size_t bytes, Chunk chunk) override {
    Scope scope(device_);
    const CUresult result = memory_.unmap(device_address(at), bytes);
    return from_driver(result ? result : memory_.release(chunk));
  }

  Status event_create(Event* out) override {
    return call([&] {
      cudaEvent_t event = nullptr;
      const cudaError_t error = cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
      *out = event;
      return error;
    });
  }
  void event_destroy(Event event) override {
    (void)call([&] { return cudaEventDestroy(static_cast<cudaEvent_t>(event)); });
  }
  Status event_record(Event event, Stream stream) override {
    return call([&] { return cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)); });
  }
  Status event_query(Event event, bool* passed) override {
    Scope scope(device_);
    const cudaError_t error = cudaEventQuery(static_cast<cudaEvent_t>(event));
    *passed = error == cudaSuccess;
    if (error != cudaErrorNotReady) return from_runtime(error);
    (void)cudaGetLastError();
    return {};
  }
  Status event_wait(Event event) override {
    return call([&] { return cudaEventSynchronize(static_cast<cudaEvent_t>(event)); });
  }
  Status synchronize() override {
    return call([] { return cudaDeviceSynchronize(); });
  }

  Status host_allocate(size_t bytes, void** out) override {
    return call([&] { return cudaHostAlloc(out, bytes, cudaHostAllocPortable); });
  }
  Status host_release(void* memory) override {
    return call([&] { return cudaFreeHost(memory); });
  }

 private:
  template <class Function>
  Status call(Function&& function) {
    Scope scope(device_);
    return from_runtime(scope.status() == cudaSuccess ? function() : scope.status());
  }

  Status from_driver(CUresult result) const {
    if (!result) return {};
    const char* text = nullptr;
    (void)memory_.error_string(result, &text);
    return {result == CUDA_ERROR_OUT_OF_MEMORY ? Status::kExhausted : Status::kFailed, text ? text : "unknown error"};
  }

  const int device_;
  VirtualMemory memory_;
  CUmemAllocationProp properties_{};
  size_t granularity_ = 0;
};

}  // namespace

std::unique_ptr<Driver> make_cuda_driver(int device, Status* status) {
  auto driver = std::make_unique<CudaDriver>(device);
  *status = driver->start();
  if (!*status) return nullptr;
  return driver;
}

}  // namespace atled::cuda
