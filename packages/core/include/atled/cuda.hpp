// What kernels for CUDA need, over plugin.hpp and the group "cuda": header-only, for libraries that AtledCuda.cmake
// builds, in .cu files and in .cpp files beside them.
//
//   __global__ void scale_kernel(float* x, float by, int64_t n) {
//     for (int64_t i = thread_index(); i < n; i += thread_count()) x[i] *= by;
//   }
//
//   void double_it(atled_frame* f) {
//     const atled_tensor* t = arg_tensor(f, 0);
//     const int device = t->dl.device.device_id;
//     DeviceGuard guard(device);
//     launch(scale_kernel, blocks_for(numel(t)), kThreads, current_stream(device), data<float>(t), 2.0f, numel(t));
//   }
//   void add() { cuda_kernel("mine::double_", kernel<double_it>); }
//   ATLED_CUDA_KERNELS(add);
//
//   ATLED_CUDA_PLUGIN("my-dist", "0.1")   // in one file
//
// All functions throw Error; any thread may call them. The runtime is linked statically, so each library has its own:
// streams, events and memory are the same for all of them.
#ifndef ATLED_CUDA_HPP
#define ATLED_CUDA_HPP

#include <cuda_runtime_api.h>

#include <algorithm>
#include <vector>

#include "cuda.h"
#include "plugin.hpp"

namespace atled::cuda {

inline const Group<atled_cuda_group> cuda_group{"cuda"};

// DeviceError, or OutOfMemoryError, saying what was tried; clears the runtime's own note of the error.
inline void expect(cudaError_t status, const char* tried) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  if (status == cudaErrorMemoryAllocation)
    fail(ATLED_E_MEMORY, "cuda: could not %s: the device has no more memory", tried);
  fail(ATLED_E_DEVICE, "cuda: could not %s: %s (%s)", tried, cudaGetErrorString(status), cudaGetErrorName(status));
}

// The calling thread's current stream on a device.
inline cudaStream_t current_stream(int device) {
  atled_stream stream = nullptr;
  check(cuda_group->current_stream(device, &stream));
  return static_cast<cudaStream_t>(stream);
}

// Makes a device the calling thread's current one; what was current before is so again at the end.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device) {
    int current = 0;
    expect(cudaGetDevice(&current), "ask for the current device");
    if (current == device) return;
    check(cuda_group->enter_device(device));
    entered_ = true;
  }
  ~DeviceGuard() {
    if (entered_) cuda_group->leave_device();
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  bool entered_ = false;
};

// ---- registration ----

using Registration = void (*)();
inline std::vector<Registration>& registrations() {
  static std::vector<Registration> list;
  return list;
}
struct RegisterKernels {
  explicit RegisterKernels(Registration add) { registrations().push_back(add); }
};
inline void register_kernels() {
  for (const Registration add : registrations()) add();
}

inline void cuda_kernel(const char* op, atled_kernel run, const void* ctx = nullptr) {
  add_kernel(op, kDLCUDA, run, const_cast<void*>(ctx));
}

// One call of an op that indexes: kernels tell of an index out of bounds by report_index, and go on.
class IndexCall {
 public:
  // `name` is of the argument with the indices, a literal. Raises what an earlier call on the device has left.
  IndexCall(const atled_frame* frame, int device, const char* name) : device_(device) {
    check(cuda_group->index_begin(device, frame->op->name, name, &site_));
  }
  const atled_cuda_index_site& site() const { return site_; }
  // Where calls are to wait for their errors, waits and raises this one's.
  void finish() const { check(cuda_group->index_end(device_, &site_)); }

 private:
  int device_;
  atled_cuda_index_site site_;
};

// ---- launches ----

constexpr int kThreads = 256;  // of a block

// Blocks of `threads` for n pieces of work; the kernel's loop takes on what is beyond the limit.
inline uint32_t blocks_for(int64_t n, int threads = kThreads, int64_t limit = 1 << 16) {
  const int64_t blocks = (n + threads - 1) / threads;
  return static_cast<uint32_t>(blocks < 1 ? 1 : blocks > limit ? limit : blocks);
}

// Several elements as one access to memory, of at most 16 bytes.
template <class T, int N>
struct alignas(sizeof(T) * N) Vector {
  T item[N];
};

// ---- in .cu files ----

#if defined(__CUDACC__) || defined(ATLED_EMULATED_CUDA)

// Runs kernel(arguments...) in `blocks` blocks; the device is the current one already.
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 blocks, int threads, cudaStream_t stream, const A&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = stream;
  expect(cudaLaunchKernelEx(&config, kernel, arguments...), "launch a kernel");
}

// This thread's index among all of the grid's first dimension, and how many there are.
static __device__ __forceinline__ uint32_t thread_index() { return blockIdx.x * blockDim.x + threadIdx.x; }
static __device__ __forceinline__ uint32_t thread_count() { return gridDim.x * blockDim.x; }

// The first error since the last that was raised stays. `position`: of the index among all.
static __device__ __forceinline__ void report_index(const atled_cuda_index_site& site, int dim, int64_t value,
                                                    int64_t bound, int64_t position = -1) {
  if (atomicCAS(site.claimed, 0u, 1u) != 0u) return;
  volatile atled_cuda_index_error* error = site.error;
  error->dim = dim;
  error->value = value;
  error->bound = bound;
  error->position = position;
  error->op = site.op;
  error->name = site.name;
  error->call = site.call;
  __threadfence_system();
  error->found = 1;
}

template <int N, class F, class R, class... A>
__global__ void __launch_bounds__(kThreads) map_kernel(F f, int64_t vectors, int64_t n, R* out, const A*... in) {
  for (int64_t i = thread_index(); i < vectors; i += thread_count()) {
    Vector<R, N> result;
    // Copies: of references, each element would be an access of its own.
    [&](const Vector<A, N>... operand) {
#pragma unroll
      for (int k = 0; k < N; ++k) result.item[k] = R(f(operand.item[k]...));
    }(reinterpret_cast<const Vector<A, N>*>(in)[i]...);
    reinterpret_cast<Vector<R, N>*>(out)[i] = result;
  }
  for (int64_t i = vectors * N + thread_index(); i < n; i += thread_count()) out[i] = R(f(in[i]...));
}

// out[i] = f(in[i]...) for i < n, on a stream of the current device: 16 bytes at a time where the addresses are
// multiples of what that takes. f is called on the device; out may be one of `in`.
template <class F, class R, class... A>
void map(cudaStream_t stream, const F& f, int64_t n, R* out, const A*... in) {
  if (n == 0) return;
  constexpr int N = static_cast<int>(16 / std::max({sizeof(R), sizeof(A)...}));
  bool aligned = reinterpret_cast<uintptr_t>(out) % sizeof(Vector<R, N>) == 0;
  ((aligned = aligned && reinterpret_cast<uintptr_t>(in) % sizeof(Vector<A, N>) == 0), ...);
  const int64_t vectors = aligned ? n / N : 0;
  launch(map_kernel<N, F, R, A...>, blocks_for(aligned ? (n + N - 1) / N : n), kThreads, stream, f, vectors, n, out,
         in...);
}

#endif

}  // namespace atled::cuda

// At namespace scope, in any file: has add() called, which calls cuda_kernel(), when the library is loaded.
#define ATLED_CUDA_KERNELS(add) \
  static const ::atled::cuda::RegisterKernels add##_registered { add }

// In one file of the library.
#define ATLED_CUDA_PLUGIN(distribution, version) ATLED_PLUGIN(distribution, version, ::atled::cuda::register_kernels)

#endif  // ATLED_CUDA_HPP
