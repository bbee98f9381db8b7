#include "cuda/index_error.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

#include "cuda/graph.h"
#include "cuda/runtime.h"

namespace atled::core::cuda {

namespace {

// What is done beside a capture is not part of it.
class OutsideCapture {
 public:
  OutsideCapture() { expect(cudaThreadExchangeStreamCaptureMode(&mode_), "leave a capture's mode"); }
  ~OutsideCapture() {
    if (cudaThreadExchangeStreamCaptureMode(&mode_) != cudaSuccess) cudaGetLastError();
  }

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

// A device's record, made at the first use and kept until the end of the process.
struct Errors {
  std::atomic<IndexErrorRecord*> record{nullptr};
  uint32_t* claimed = nullptr;
  cudaStream_t stream = nullptr;
  std::atomic<uint64_t> calls{0};
  std::mutex lock;

  void make() {
    const std::lock_guard<std::mutex> hold(lock);
    if (record.load()) return;
    const OutsideCapture relaxed;
    void *host = nullptr, *device = nullptr;
    expect(cudaHostAlloc(&host, sizeof(IndexErrorRecord), cudaHostAllocPortable | cudaHostAllocMapped),
           "allocate pinned memory");
    expect(cudaMalloc(&device, sizeof(uint32_t)), "allocate memory");
    claimed = static_cast<uint32_t*>(device);
    expect(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "create a stream");
    clear_claim();
    std::memset(host, 0, sizeof(IndexErrorRecord));
    record = static_cast<IndexErrorRecord*>(host);
  }
  void clear_claim() const {
    expect(cudaMemsetAsync(claimed, 0, sizeof(uint32_t), stream), "fill with zeros");
    expect(cudaStreamSynchronize(stream), "synchronize");
  }
  bool take(IndexErrorRecord& out, int device) {
    IndexErrorRecord* seen = record.load(std::memory_order_acquire);
    if (!seen || !static_cast<volatile IndexErrorRecord*>(seen)->found) return false;
    const std::lock_guard<std::mutex> hold(lock);
    if (!static_cast<volatile IndexErrorRecord*>(seen)->found) return false;
    const DeviceGuard guard(device);
    // Its kernel may still run, and would tell of its next bad index as soon as it can. A capture would end by waiting;
    // those of other libraries are only met by trying.
    if (!any_capture()) {
      const cudaError_t waited = cudaDeviceSynchronize();
      const bool captures = waited == cudaErrorStreamCaptureUnsupported || waited == cudaErrorStreamCaptureInvalidated;
      captures ? static_cast<void>(cudaGetLastError()) : expect(waited, "synchronize");
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    out = *seen;
    seen->found = 0;
    const OutsideCapture relaxed;
    clear_claim();
    return true;
  }
};

constexpr int kMostDevices = 64;

Errors& errors_of(int device) {
  static Errors* const all = new Errors[kMostDevices];
  if (device < 0 || device >= kMostDevices)
    fail(ATLED_E_DEVICE, "cuda: expected a device index in [0, %d), got %d", kMostDevices, device);
  return all[device];
}

bool is_on(const char* variable) {
  const char* text = std::getenv(variable);
  return text && *text && std::strcmp(text, "0") != 0;
}

bool calls_wait() {
  static const bool wait = is_on("ATLED_CUDA_LAUNCH_BLOCKING") || is_on("CUDA_LAUNCH_BLOCKING");
  return wait;
}

thread_local const IndexCall* innermost = nullptr;

// As the CPU's kernels say it.
std::string text_of(const IndexErrorRecord& e) {
  if (e.dim == kNoDim) {
    const std::string at = e.position < 0 ? "" : " at position " + std::to_string(e.position);
    return std::string("expected ") + (e.name ? e.name : "indices") + " in [0, " + std::to_string(e.bound) + "), got " +
           std::to_string(e.value) + at;
  }
  return "expected indices for dim " + std::to_string(e.dim) + " in [" + std::to_string(-e.bound) + ", " +
         std::to_string(e.bound) + "), got " + std::to_string(e.value);
}

}  // namespace

IndexSite begin_index_call(const char* op, const char* name, int device) {
  const DeviceGuard guard(device);
  Errors& errors = errors_of(device);
  if (!errors.record.load(std::memory_order_acquire)) errors.make();
  raise_index_error(device);
  return IndexSite{errors.record.load(), errors.claimed, op, name, ++errors.calls};
}

void finish_index_call(const IndexSite& site, int device) {
  if (!calls_wait()) return;
  const DeviceGuard guard(device);
  const cudaStream_t stream = current_stream(device);
  if (is_capturing(stream)) return;
  expect(cudaStreamSynchronize(stream), "synchronize");
  IndexErrorRecord error;
  Errors& errors = errors_of(device);
  if (!errors.take(error, device)) return;
  const bool own = error.call == site.call;
  const std::string whose = own ? "" : std::string(error.op) + ": ";
  fail(ATLED_E_BOUNDS, "%s%s", whose.c_str(), text_of(error).c_str());
}

IndexCall::IndexCall(const atled_frame* frame, int device)
    : site_(begin_index_call(frame->op->name, nullptr, device)), device_(device), outer_(innermost) {
  innermost = this;
}

IndexCall::~IndexCall() { innermost = outer_; }

void IndexCall::finish() const { finish_index_call(site_, device_); }

IndexSite current_index_site() {
  if (!innermost) fail(ATLED_E_RUNTIME, "expected a kernel that indexes to run as an IndexCall");
  return innermost->site_;
}

void raise_index_error(int device) {
  IndexErrorRecord error;
  if (!errors_of(device).take(error, device)) return;
  fail(ATLED_E_BOUNDS,
       "%s: %s; this was call %llu of an op that indexes on cuda:%d, and its result is wrong; with "
       "ATLED_CUDA_LAUNCH_BLOCKING=1 such calls wait and raise their own errors",
       error.op, text_of(error).c_str(), static_cast<unsigned long long>(error.call), device);
}

}  // namespace atled::core::cuda
