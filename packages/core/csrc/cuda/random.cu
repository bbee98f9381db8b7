#include "cuda/draw.cuh"
#include "functors/random_kernels.h"

namespace atled::core::cuda {
namespace {

struct Cuda {
  template <int kPer, class T, class F>
  static void draw(const atled_tensor* t, T* out, int64_t n, const atled_value& generator, const F& f) {
    cuda::draw<kPer>(t, out, n, generator, f);
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
