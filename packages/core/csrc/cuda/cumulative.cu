#include "cuda/scan.cuh"
#include "functors/cumulative.h"

namespace atled::core::cuda {

namespace {

template <bool kLargest>
void extreme(atled_frame* frame) {
  const atled_tensor* given = arg_tensor(frame, 0);
  const Tensor input = contiguous(given, given->dtype);
  visit_dtype(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!is_complex_type<T>) {
      using S = RunningExtremeOf<std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>>;
      S s;
      s.largest = kLargest;
      s.out = data<typename S::Out>(out_tensor(frame, 0));
      s.where = data<int64_t>(out_tensor(frame, 1));
      scan(s, input, wrap_dim(arg_int(frame, 1), input->dl.ndim));
    }
  });
}

void logcumsumexp(atled_frame* frame) {
  const atled_tensor* out = out_tensor(frame);
  const Tensor input = contiguous(arg_tensor(frame, 0), out->dtype);
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_integral_v<T> && !is_complex_type<T>) {
      RunningLogSumOf<T> s;
      s.out = data<T>(out);
      scan(s, input, wrap_dim(arg_int(frame, 1), input->dl.ndim));
    }
  });
}

void add_cumulative() {
  cuda_kernel("core::cummax", kernel<extreme<true>>);
  cuda_kernel("core::cummin", kernel<extreme<false>>);
  cuda_kernel("core::logcumsumexp", kernel<logcumsumexp>);
}
ATLED_CUDA_KERNELS(add_cumulative);

}  // namespace

}  // namespace atled::core::cuda
