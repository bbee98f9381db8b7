// Means, variances, norms and logsumexp: the reductions of floating tensors.
#include "cuda/reduce.cuh"
#include "functors/moments.h"
#include "ops/complex_logsumexp.h"
#include "ops/spread.h"

namespace atled::core::cuda {

namespace {

DimSet dims_of(const atled_frame* frame, int i) { return reduced_dims(frame->args[i], arg_tensor(frame, 0)->dl.ndim); }

// The input in the result's dtype, or in the complex one that has it as its real part.
Tensor as_floating(atled_tensor* input, const atled_value& asked) {
  const int dtype = asked.tag == ATLED_DTYPE ? static_cast<int>(asked.u.i) : float_dtype(input->dtype);
  return input->dtype == dtype ? Tensor::borrow(input) : contiguous(input, dtype);
}

template <class F>
void visit_floating(int dtype, F&& f) {
  visit_dtype(dtype, [&](auto tag) {
    if constexpr (!std::is_integral_v<typename decltype(tag)::type>) f(tag);
  });
}
template <class F>
void visit_real(int dtype, F&& f) {
  visit_floating(dtype, [&](auto tag) {
    if constexpr (!is_complex_type<typename decltype(tag)::type>) f(tag);
  });
}

void mean(atled_frame* frame) {
  const Tensor input = as_floating(arg_tensor(frame, 0), frame->args[3]);
  const DimSet dims = dims_of(frame, 1);
  visit_floating(input->dtype, [&](auto tag) {
    reduce(input, dims, out_tensor(frame),
           Mean<typename decltype(tag)::type>{static_cast<double>(reduced_length(input, dims))});
  });
}

template <bool kRoot>
void variance(atled_frame* frame) {
  const atled_tensor* input = arg_tensor(frame, 0);
  if (is_complex(input->dtype)) return complex_spread(frame, kRoot);
  const DimSet dims = dims_of(frame, 1);
  const double divisor = static_cast<double>(reduced_length(input, dims)) - correction_of(frame);
  visit_real(input->dtype, [&](auto tag) {
    reduce(input, dims, out_tensor(frame),
           VarianceOf<typename decltype(tag)::type>{divisor > 0 ? divisor : 0.0, kRoot});
  });
}

void norm(atled_frame* frame) {
  const Tensor input = as_floating(arg_tensor(frame, 0), frame->args[4]);
  const atled_tensor* out = out_tensor(frame);
  const DimSet dims = dims_of(frame, 2);
  const double p = arg_double(frame, 1);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  visit_floating(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (p == 2) return reduce(input, dims, out, Norm2<T>());
    if (p == 1) return reduce(input, dims, out, Norm1<T>());
    if (p == 0) return reduce(input, dims, out, Norm0<T>());
    if (p == kInfinity) return reduce(input, dims, out, NormMax<T>());
    if (p == -kInfinity) return reduce(input, dims, out, NormMin<T>());
    reduce(input, dims, out, NormP<T>(p));
  });
}

void logsumexp(atled_frame* frame) {
  if (is_complex(out_tensor(frame)->dtype))
    return complex_logsumexp(arg_tensor(frame, 0), frame->args[1], frame->args[2], out_tensor(frame));
  const Tensor input = as_floating(arg_tensor(frame, 0), none());
  visit_real(input->dtype, [&](auto tag) {
    reduce(input, dims_of(frame, 1), out_tensor(frame), LogSumExpOf<typename decltype(tag)::type>{});
  });
}

void nansum(atled_frame* frame) {
  static const Op sum{"core::sum"};
  const atled_tensor* out = out_tensor(frame);
  atled_tensor* given = arg_tensor(frame, 0);
  if (given->dtype < ATLED_FLOAT16)
    return assign(out, sum(given, frame->args[1], frame->args[2], dtype_value(out->dtype)));
  const Tensor input = given->dtype == out->dtype ? Tensor::borrow(given) : contiguous(given, out->dtype);
  visit_floating(out->dtype,
                 [&](auto tag) { reduce(input, dims_of(frame, 1), out, NanSum<typename decltype(tag)::type>{}); });
}

void add_statistics() {
  cuda_kernel("core::nansum", kernel<nansum>);
  cuda_kernel("core::mean", kernel<mean>);
  cuda_kernel("core::var", kernel<variance<false>>);
  cuda_kernel("core::std", kernel<variance<true>>);
  cuda_kernel("core::norm", kernel<norm>);
  cuda_kernel("core::logsumexp", kernel<logsumexp>);
}
ATLED_CUDA_KERNELS(add_statistics);

}  // namespace

}  // namespace atled::core::cuda
