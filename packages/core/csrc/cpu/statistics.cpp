// Means, variances, norms and logsumexp: the reductions of floating tensors.
#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "cpu/moments.h"
#include "cpu/reduce.h"
#include "functors/reduction.h"
#include "ops/complex_logsumexp.h"
#include "ops/spread.h"

namespace atled::core {

namespace {

DimSet dims_of(const atled_frame* frame, int i) { return reduced_dims(frame->args[i], arg_tensor(frame, 0)->dl.ndim); }

// The input in the result's dtype, or in the complex one that has it as its real part.
Tensor as_floating(atled_tensor* input, const atled_value& asked) {
  const int dtype = asked.tag == ATLED_DTYPE ? static_cast<int>(asked.u.i) : float_dtype(input->dtype);
  return input->dtype == dtype ? Tensor::borrow(input) : contiguous(input, dtype);
}

// Calls f with the Tag of a floating or complex dtype.
template <class F>
void visit_floating(int dtype, F&& f) {
  visit_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_integral_v<T>) f(tag);
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
    using T = typename decltype(tag)::type;
    using R = Mean<Widened<T>>;
    static const ReduceLoops loops = reduce_loops<R, !is_complex_type<T>, T>();
    const R r{static_cast<double>(reduced_length(input, dims))};
    reduce(input, dims, out_tensor(frame), loops, r);
  });
}

void variance(atled_frame* frame, bool root) {
  const atled_tensor* input = arg_tensor(frame, 0);
  if (is_complex(input->dtype)) return complex_spread(frame, root);
  const DimSet dims = dims_of(frame, 1);
  const double divisor = static_cast<double>(reduced_length(input, dims)) - correction_of(frame);
  visit_real(input->dtype, [&](auto tag) {
    using V = Variance<typename decltype(tag)::type>;
    static const ReduceLoops loops = V::loops();
    const V v{divisor > 0 ? divisor : 0.0, root};
    reduce(input, dims, out_tensor(frame), loops, v);
  });
}
void var(atled_frame* frame) { variance(frame, false); }
void std_(atled_frame* frame) { variance(frame, true); }

template <class T, class R>
void norm_by(const atled_tensor* input, DimSet dims, const atled_tensor* out, const R& r) {
  static const ReduceLoops loops =
      reduce_loops<R, std::is_same_v<R, Norm2<float>> || std::is_same_v<R, Norm2<double>>, T>();
  reduce(input, dims, out, loops, r);
}

void norm(atled_frame* frame) {
  const Tensor input = as_floating(arg_tensor(frame, 0), frame->args[4]);
  const atled_tensor* out = out_tensor(frame);
  const DimSet dims = dims_of(frame, 2);
  const double p = arg_double(frame, 1);
  visit_floating(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using W = std::conditional_t<is_small_float<T>, float, T>;
    if (p == 2) return norm_by<T>(input, dims, out, Norm2<W>());
    if (p == 1) return norm_by<T>(input, dims, out, Norm1<W>());
    if (p == 0) return norm_by<T>(input, dims, out, Norm0<W>());
    if (p == std::numeric_limits<double>::infinity()) return norm_by<T>(input, dims, out, NormMax<W>());
    if (p == -std::numeric_limits<double>::infinity()) return norm_by<T>(input, dims, out, NormMin<W>());
    norm_by<T>(input, dims, out, NormP<W>(p));
  });
}

void logsumexp(atled_frame* frame) {
  if (is_complex(out_tensor(frame)->dtype))
    return complex_logsumexp(arg_tensor(frame, 0), frame->args[1], frame->args[2], out_tensor(frame));
  const Tensor input = as_floating(arg_tensor(frame, 0), none());
  visit_real(input->dtype, [&](auto tag) {
    static const ReduceLoops loops = LogSumExp<typename decltype(tag)::type>::loops();
    reduce(input, dims_of(frame, 1), out_tensor(frame), loops);
  });
}

void nansum(atled_frame* frame) {
  static const Op sum{"core::sum"};
  const atled_tensor* out = out_tensor(frame);
  atled_tensor* given = arg_tensor(frame, 0);
  if (given->dtype < ATLED_FLOAT16)
    return assign(out, sum(given, frame->args[1], frame->args[2], dtype_value(out->dtype)));
  const Tensor input = given->dtype == out->dtype ? Tensor::borrow(given) : contiguous(given, out->dtype);
  visit_floating(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    static const ReduceLoops loops = reduce_loops<NanSum<Widened<T>>, !is_complex_type<T>, T>();
    reduce(input, dims_of(frame, 1), out, loops);
  });
}

void add_statistics() {
  cpu_kernel("core::nansum", kernel<nansum>);
  fused_kernel("core::mean", kernel<mean>);
  fused_kernel("core::var", kernel<var>);
  fused_kernel("core::std", kernel<std_>);
  fused_kernel("core::norm", kernel<norm>);
  fused_kernel("core::logsumexp", kernel<logsumexp>);
}
ATLED_KERNELS(add_statistics);

}  // namespace

}  // namespace atled::core
