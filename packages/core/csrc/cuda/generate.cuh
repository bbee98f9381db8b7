// out[i] = g(i) for tensors that lie side by side in memory, and for others through one that does.
#pragma once

#include "cuda/elementwise.cuh"

namespace atled::core::cuda {

template <class T, class R, class G>
__global__ void __launch_bounds__(kThreads) generate_kernel(T* out, int64_t n, const G g) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) out[i] = Cast<T, R>{}(g(i));
}

// Calls f with a tensor of target's shape that is contiguous: itself, or one that is copied into it.
template <class F>
void into_contiguous(atled_tensor* target, F&& f) {
  if (is_contiguous(target)) return f(target);
  const Tensor whole = Tensor::empty(target->dtype, target->dl.ndim, target->dl.shape, target->dl.device);
  f(whole.get());
  assign(target, whole.get());
}

// Computed as R.
template <class R, class G>
void generate(atled_tensor* target, const G& g) {
  into_contiguous(target, [&](atled_tensor* out) {
    const int64_t n = numel(out);
    if (n == 0) return;
    DeviceGuard device(out->dl.device.device_id);
    visit_dtype(out->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if constexpr (is_complex_type<T> || !is_complex_type<R>)
        launch(generate_kernel<T, R, G>, blocks_for(n, kThreads), kThreads, current_stream(out->dl.device.device_id),
               data<T>(out), n, g);
    });
  });
}

}  // namespace atled::core::cuda
