#include "cuda/generate.cuh"
#include "functors/random_kernels.h"
#include "functors/stream.h"

namespace atled::core::cuda {
namespace {

template <int kPer, class T, class F>
__global__ void __launch_bounds__(kThreads) draw_kernel(T* out, int64_t n, uint64_t seed, uint64_t offset, const F f) {
  const int64_t counters = (n + kPer - 1) / kPer;
  for (int64_t i = thread_index(); i < counters; i += thread_count()) {
    T drawn[4];
    f(philox(seed, offset + static_cast<uint64_t>(i)), drawn);
    for (int j = 0; j < kPer; ++j)
      if (i * kPer + j < n) out[i * kPer + j] = drawn[j];
  }
}

// The CPU's numbers, for the same counters go to the same elements.
struct Cuda {
  template <int kPer, class T, class F>
  static void draw(const atled_tensor* t, T* out, int64_t n, const atled_value& generator, const F& f) {
    const int64_t counters = (n + kPer - 1) / kPer;
    const Stream stream(generator, counters);
    if (n == 0) return;
    const int index = t->dl.device.device_id;
    DeviceGuard device(index);
    launch(draw_kernel<kPer, T, F>, blocks_for(counters, kThreads), kThreads, current_stream(index), out, n,
           stream.seed, stream.offset, f);
  }
  template <class F>
  static void into_contiguous(atled_tensor* target, F&& f) {
    cuda::into_contiguous(target, f);
  }
};

void add_random() {
  RandomKernels<Cuda>::register_all([](const char* op, atled_kernel run) { cuda_kernel(op, run); });
}

ATLED_CUDA_KERNELS(add_random);

}  // namespace
}  // namespace atled::core::cuda
