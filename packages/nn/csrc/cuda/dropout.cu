// Dropout: the CPU's random bits, four elements for each counter.
#include "atled/philox.h"
#include "cuda/kernel.cuh"

namespace atled::nn {

namespace {

template <class T>
struct Scaled {
  Wide<T> scale;
  explicit Scaled(double p) : scale(p < 1 ? static_cast<Wide<T>>(1 / (1 - p)) : Wide<T>(0)) {}
  __device__ T operator()(T x, uint8_t kept) const { return kept ? T(static_cast<Wide<T>>(x) * scale) : T(Wide<T>(0)); }
};

// Element i is kept where word i of the stream is at least the threshold.
template <class T>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(const T* x, int64_t n, bool vectors, const atled_cuda_counters at, uint64_t threshold,
                   const Scaled<T> f, T* y, bool* mask) {
  const uint64_t seed = at.words ? at.words[0] : at.seed, offset = (at.words ? at.words[1] : 0) + at.offset;
  for (int64_t i = thread_index(); 4 * i < n; i += thread_count()) {
    const Words4 words = philox(seed, offset + static_cast<uint64_t>(i));
    if (vectors && 4 * i + 4 <= n) {
      Vector<T, 4> v = load<T, 4>(x + 4 * i);
      Vector<bool, 4> kept;
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        kept.item[k] = words.w[k] >= threshold;
        v.item[k] = f(v.item[k], kept.item[k]);
      }
      store(y + 4 * i, v);
      store(mask + 4 * i, kept);
    } else {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        if (4 * i + k >= n) continue;
        const bool kept = words.w[k] >= threshold;
        y[4 * i + k] = f(x[4 * i + k], kept);
        mask[4 * i + k] = kept;
      }
    }
  }
}

void forward(atled_frame* f) {
  const Tensor input = contiguous(arg_tensor(f, 0));
  const double p = arg_double(f, 1);
  const int64_t n = numel(input), counters = (n + 3) / 4;
  atled_cuda_counters at{};
  check(cuda_group->counters(input->dl.device.device_id, arg_is_none(f, 2) ? nullptr : f->args[2].u.generator,
                             static_cast<uint64_t>(counters), &at));
  if (n == 0) return;
  const On on(input);
  visit_float(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* x = data<const T>(input);
    T* y = data<T>(out_tensor(f, 0));
    bool* mask = data<bool>(out_tensor(f, 1));
    auto fits = [](const void* pointer, size_t size) { return reinterpret_cast<uintptr_t>(pointer) % size == 0; };
    const bool vectors = fits(x, 4 * sizeof(T)) && fits(y, 4 * sizeof(T)) && fits(mask, 4);
    on.run(dropout_kernel<T>, blocks_for(counters), x, n, vectors, at, static_cast<uint64_t>(p * 4294967296.0),
           Scaled<T>(p), y, mask);
  });
}

void backward(atled_frame* f) {
  const Tensor grad = contiguous(arg_tensor(f, 0)), mask = contiguous(arg_tensor(f, 1));
  const On on(grad);
  visit_float(grad->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    map(on.stream(), Scaled<T>(arg_double(f, 2)), numel(grad), data<T>(out_tensor(f)), data<const T>(grad),
        data<const uint8_t>(mask));
  });
}

void add_dropout() {
  add_cuda_kernel<forward>("nn::dropout");
  add_cuda_kernel<backward>("nn::dropout_backward");
}
ATLED_CUDA_KERNELS(add_dropout);

}  // namespace

}  // namespace atled::nn
