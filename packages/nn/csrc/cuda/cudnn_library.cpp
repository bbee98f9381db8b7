#include "cuda/cudnn_library.h"

#include <dlfcn.h>

#include <mutex>
#include <vector>

namespace atled::nn::cudnn {

namespace {

using cuda::cuda_group;

constexpr int kMostDevices = 64;
constexpr const char* kMend = "pip install \"atled-nn[cuda]\" brings it";

template <class Function>
void find(void* library, const char* name, Function** out) {
  void* function = dlsym(library, name);
  if (!function) fail(ATLED_E_DEVICE, "cuda: expected the function %s in %s, which has none", name, kFile);
  *out = reinterpret_cast<Function*>(function);
}

// Handles that no thread uses at present; never destroyed, for at the end of the process the driver may be gone.
struct Idle {
  std::mutex mutex;
  std::vector<Handle> of[kMostDevices];
};
Idle& idle() {
  static auto* made = new Idle;
  return *made;
}

Handle new_handle() {
  // What it sets up is no part of a graph that is being captured.
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cuda::expect(cudaThreadExchangeStreamCaptureMode(&mode), "prepare cuDNN");
  Handle handle = nullptr;
  const Status status = functions().create(&handle);
  cuda::expect(cudaThreadExchangeStreamCaptureMode(&mode), "prepare cuDNN");
  expect(status, "start");
  return handle;
}

// A thread's handles, which others may use when it has ended.
struct Own {
  Handle of[kMostDevices] = {};

  Handle take(int device) {
    if (device < 0 || device >= kMostDevices)
      fail(ATLED_E_DEVICE, "cuda: expected a device index in [0, %d), got %d", kMostDevices, device);
    if (of[device]) return of[device];
    {
      std::lock_guard<std::mutex> lock(idle().mutex);
      std::vector<Handle>& list = idle().of[device];
      if (!list.empty()) {
        of[device] = list.back();
        list.pop_back();
      }
    }
    if (!of[device]) of[device] = new_handle();
    return of[device];
  }
  ~Own() {
    std::lock_guard<std::mutex> lock(idle().mutex);
    for (int device = 0; device < kMostDevices; ++device)
      if (of[device]) idle().of[device].push_back(of[device]);
  }
};

}  // namespace

const Functions& functions() {
  static const Functions all = [] {
    void* library = nullptr;
    check(cuda_group->open_library(kFile, kMend, &library));
    Functions f;
#define ATLED_CUDNN_FIND(result, member, name, parameters) find(library, #name, &f.member);
    ATLED_CUDNN_FUNCTIONS(ATLED_CUDNN_FIND)
#undef ATLED_CUDNN_FIND
    return f;
  }();
  return all;
}

void expect(Status status, const char* tried) {
  if (status == kSuccess) return;
  const Functions& f = functions();
  char why[512] = "";
  f.last_error(why, sizeof why);
  why[sizeof why - 1] = 0;
  fail(ATLED_E_DEVICE, "cuda: cuDNN could not %s: %s (%d)%s%s", tried, f.error_string(status), status, *why ? ": " : "",
       why);
}

Handle current_handle(int device) {
  static thread_local Own own;
  const Handle handle = own.take(device);
  expect(functions().set_stream(handle, cuda::current_stream(device)), "work on a stream");
  return handle;
}

Object::Object(Kind kind) { expect(functions().describe(kind, &it_), "describe a convolution"); }

}  // namespace atled::nn::cudnn
