#include "contexts.h"

#include <cuda.h>

#include <atomic>

namespace atled::cuda {

namespace {

constexpr int kMostDevices = 64;

struct Contexts {
  decltype(&cuInit) init = nullptr;
  decltype(&cuDevicePrimaryCtxRetain) retain = nullptr;
  decltype(&cuCtxPushCurrent) push = nullptr;
  decltype(&cuCtxPopCurrent) pop = nullptr;
  bool there = find_in_driver("cuInit", &init) && find_in_driver("cuDevicePrimaryCtxRetain", &retain) &&
               find_in_driver("cuCtxPushCurrent", &push) && find_in_driver("cuCtxPopCurrent", &pop) && init(0) == 0;
};
const Contexts& contexts() {
  static const Contexts all;
  return all;
}

// The runtime's errors have the driver's numbers.
cudaError_t from_driver(CUresult result) { return static_cast<cudaError_t>(result); }

}  // namespace

bool find_in_driver(const char* name, void** out) {
  cudaDriverEntryPointQueryResult result;
  const cudaError_t error = cudaGetDriverEntryPointByVersion(name, out, 10020, cudaEnableDefault, &result);
  if (error == cudaSuccess && result == cudaDriverEntryPointSuccess && *out) return true;
  (void)cudaGetLastError();
  return false;
}

cudaError_t enter_device(int device) {
  // Kept until the end of the process, as the runtime keeps those that it makes.
  static std::atomic<CUcontext> kept[kMostDevices];
  if (device < 0 || device >= kMostDevices) return cudaErrorInvalidDevice;
  if (!contexts().there) return cudaErrorInitializationError;
  CUcontext context = kept[device].load(std::memory_order_acquire);
  if (!context) {
    if (const CUresult result = contexts().retain(&context, device)) return from_driver(result);
    kept[device].store(context, std::memory_order_release);
  }
  return from_driver(contexts().push(context));
}

cudaError_t leave_device() {
  CUcontext left = nullptr;
  return from_driver(contexts().pop(&left));
}

}  // namespace atled::cuda
