#include "cuda/scan.cuh"
#include "functors/scan.h"

namespace atled::core::cuda {

namespace {

// The unsigned integer of T's size, in which sums and products modulo 2^n are the same; T itself otherwise.
template <class T>
auto as_unsigned() {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
    return std::make_unsigned_t<T>();
  else
    return T();
}

template <bool kProduct>
void cumulative(atled_frame* frame) {
  const atled_tensor* out = out_tensor(frame);
  const Tensor input = contiguous(arg_tensor(frame, 0), out->dtype);
  visit_dtype(out->dtype, [&](auto tag) {
    using T = decltype(as_unsigned<typename decltype(tag)::type>());
    RunningOf<T, kProduct> s;
    s.out = data<T>(out);
    scan(s, input, wrap_dim(arg_int(frame, 1), input->dl.ndim));
  });
}

void add_scan() {
  cuda_kernel("core::cumsum", kernel<cumulative<false>>);
  cuda_kernel("core::cumprod", kernel<cumulative<true>>);
}
ATLED_CUDA_KERNELS(add_scan);

}  // namespace

}  // namespace atled::core::cuda
