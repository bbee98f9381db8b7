// The emulated device's parts: memory (memory.cpp), streams (streams.cpp), kernels (kernels.cpp).
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>
#include <mutex>

namespace atled::emulator {

// One lock for everything: host threads take turns.
class Lock {
 public:
  void lock() {
    mutex_.lock();
    ++depth_;
  }
  void unlock() {
    --depth_;
    mutex_.unlock();
  }
  // Lets the others go on for a moment, however often this thread holds it.
  void pause();

 private:
  std::recursive_mutex mutex_;
  int depth_ = 0;
};
Lock& lock();
using Guard = std::lock_guard<Lock>;

// Remembers an error for cudaGetLastError, and returns it.
cudaError_t answer(cudaError_t error);
// Ends the process with what a program did that a device would not forgive.
[[noreturn]] void refuse(const char* why);

long setting(const char* name, long otherwise);

// ---- memory ----

constexpr int kMostDevices = 8;
int device_count();
int& current_device();  // the calling thread's
void use_context();     // the current device has one from now on
bool has_context(int device);

// The host may read and write device memory only in between.
void open_memory();
void close_memory();
bool on_device(const void* pointer, int* device = nullptr);
bool is_pinned(const void* pointer);

// ---- streams ----

// Gives a stream work to do later: when somebody waits for it. In a capture, when its graph is launched. Where there is
// `ready`, the stream stands still, and its waiters with it, until that answers true: what other processes do is
// awaited so, and this process's other threads go on.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work, std::function<bool()> ready = nullptr);
// Does all work that was given to a stream, or to all of a device's.
cudaError_t finish(cudaStream_t stream);
cudaError_t finish_device(int device);
bool capturing(cudaStream_t stream);
// What may not be called while the thread captures: cudaErrorStreamCaptureUnsupported, else success.
cudaError_t allowed_now();

// ---- kernels ----

void run_grid(dim3 grid, dim3 block, const std::function<void()>& kernel);

}  // namespace atled::emulator
