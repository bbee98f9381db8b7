#include "cuda/reduce.cuh"
#include "functors/extremes.h"
#include "functors/moments.h"

namespace atled::core::cuda {

namespace {

template <class T, bool kLargest>
struct Found : ExtremeOf<Extreme<T, kLargest>> {
  using Acc = typename ExtremeOf<Extreme<T, kLargest>>::Acc;
  ATLED_FN void store_value(char* values, int64_t i, Acc a) const { reinterpret_cast<T*>(values)[i] = T(a.value); }
};

// dim None: over all elements in row-major order. values may be NULL.
template <bool kLargest>
void search(atled_tensor* input, const atled_value& dim, const atled_tensor* values, const atled_tensor* indices) {
  const int ndim = input->dl.ndim;
  DimSet dims = ndim >= 64 ? ~DimSet{0} : (DimSet{1} << ndim) - 1;
  if (!is_none(dim)) dims &= DimSet{1} << wrap_dim(dim.u.i, ndim);
  visit_dtype(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!is_complex_type<T>) reduce(input, dims, indices, Found<T, kLargest>{}, values);
  });
}

template <bool kLargest>
void arg(atled_frame* frame) {
  search<kLargest>(arg_tensor(frame, 0), frame->args[1], nullptr, out_tensor(frame));
}
template <bool kLargest>
void both(atled_frame* frame) {
  search<kLargest>(arg_tensor(frame, 0), frame->args[1], out_tensor(frame, 0), out_tensor(frame, 1));
}

void add_extremes() {
  cuda_kernel("core::argmax", kernel<arg<true>>);
  cuda_kernel("core::argmin", kernel<arg<false>>);
  cuda_kernel("core::max_dim", kernel<both<true>>);
  cuda_kernel("core::min_dim", kernel<both<false>>);
}
ATLED_CUDA_KERNELS(add_extremes);

}  // namespace

}  // namespace atled::core::cuda
