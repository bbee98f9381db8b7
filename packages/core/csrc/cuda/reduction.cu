#include "cuda/reduce.cuh"
#include "functors/reduction.h"

namespace atled::core::cuda {

namespace {

DimSet dims_of(const atled_frame* frame) { return reduced_dims(frame->args[1], arg_tensor(frame, 0)->dl.ndim); }

template <template <class> class R>
void plain(atled_frame* frame) {
  const atled_tensor* input = arg_tensor(frame, 0);
  visit_dtype(input->dtype,
              [&](auto tag) { reduce(input, dims_of(frame), out_tensor(frame), R<typename decltype(tag)::type>{}); });
}
template <template <class> class R>
void ordered(atled_frame* frame) {
  const atled_tensor* input = arg_tensor(frame, 0);
  visit_dtype(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!is_complex_type<T>) reduce(input, dims_of(frame), out_tensor(frame), R<T>{});
  });
}

// In the dtype that was asked for, which need not be the one that its own sums come in.
template <template <class> class R>
void summed(atled_frame* frame) {
  const atled_tensor* out = out_tensor(frame);
  Tensor input = Tensor::borrow(arg_tensor(frame, 0));
  const DimSet dims = dims_of(frame);
  auto run = [&](const atled_tensor* to) {
    visit_dtype(input->dtype, [&](auto tag) { reduce(input, dims, to, R<typename decltype(tag)::type>{}); });
  };
  if (sum_dtype(input->dtype, none()) == out->dtype) return run(out);
  if (input->dtype != out->dtype) input = contiguous(input, out->dtype);
  const int dtype = sum_dtype(out->dtype, none());
  if (dtype == out->dtype) return run(out);
  const Tensor wide = Tensor::empty(dtype, out->dl.ndim, out->dl.shape, out->dl.device);
  run(wide);
  assign(out, wide.get());
}

void add_reduction() {
  cuda_kernel("core::sum", kernel<summed<Sum>>);
  cuda_kernel("core::prod", kernel<summed<Prod>>);
  cuda_kernel("core::amax", kernel<ordered<Largest>>);
  cuda_kernel("core::amin", kernel<ordered<Smallest>>);
  cuda_kernel("core::any", kernel<plain<AnyTrue>>);
  cuda_kernel("core::all", kernel<plain<AllTrue>>);
  cuda_kernel("core::count_nonzero", kernel<plain<CountTrue>>);
}
ATLED_CUDA_KERNELS(add_reduction);

}  // namespace

}  // namespace atled::core::cuda
