#include "cuda/elementwise.cuh"
#include "functors/explog.h"

namespace atled::core::cuda {

namespace {

// float by float_math.h, double as the CUDA library has it.
template <class F>
LaunchTable float_launches() {
  return LaunchTable().unary<F>(Types<float>{}).template unary<F>(Types<double>{});
}
const LaunchTable exp_launches = float_launches<Exp>();
const LaunchTable exp2_launches = float_launches<Exp2>();
const LaunchTable expm1_launches = float_launches<Expm1>();
const LaunchTable log_launches = float_launches<Log>();
const LaunchTable log2_launches = float_launches<Log2>();
const LaunchTable log10_launches = float_launches<Log10>();
const LaunchTable log1p_launches = float_launches<Log1p>();
const LaunchTable sqrt_launches = LaunchTable().unary<Sqrt>(Floats{});
const LaunchTable rsqrt_launches = LaunchTable().unary<Rsqrt>(Floats{});
const LaunchTable sigmoid_launches = float_launches<Sigmoid>();
const LaunchTable erf_launches = float_launches<Erf>();
const LaunchTable erfc_launches = float_launches<Erfc>();

template <class F>
LaunchTable pair_launches() {
  return LaunchTable().binary<F>(Types<float>{}).template binary<F>(Types<double>{});
}

const LaunchTable logaddexp_launches = pair_launches<LogAddExp<false>>();
const LaunchTable logaddexp2_launches = pair_launches<LogAddExp<true>>();
const LaunchTable xlogy_launches = pair_launches<Xlogy>();

void logit(atled_frame* frame) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const bool clamped = !arg_is_none(frame, 1);
  const double eps = clamped ? arg_double(frame, 1) : 0;
  const double low = clamped ? eps : -kInfinity, high = clamped ? 1 - eps : kInfinity;
  const int dtype = compute_dtype(float_dtype(arg_tensor(frame, 0)->dtype));
  Elementwise e;
  e.output(out_tensor(frame), dtype).input(arg_tensor(frame, 0), dtype);
  if (dtype == ATLED_FLOAT32)
    e.run<float, float>(Logit<float>{static_cast<float>(low), static_cast<float>(high)});
  else
    e.run<double, double>(Logit<double>{low, high});
}

void add_explog() {
  cuda_kernel("core::exp", run_float, &exp_launches);
  cuda_kernel("core::exp2", run_float, &exp2_launches);
  cuda_kernel("core::expm1", run_float, &expm1_launches);
  cuda_kernel("core::log", run_float, &log_launches);
  cuda_kernel("core::log2", run_float, &log2_launches);
  cuda_kernel("core::log10", run_float, &log10_launches);
  cuda_kernel("core::log1p", run_float, &log1p_launches);
  cuda_kernel("core::sqrt", run_float, &sqrt_launches);
  cuda_kernel("core::rsqrt", run_float, &rsqrt_launches);
  cuda_kernel("core::sigmoid", run_float, &sigmoid_launches);
  cuda_kernel("core::erf", run_float, &erf_launches);
  cuda_kernel("core::erfc", run_float, &erfc_launches);
  cuda_kernel("core::logaddexp", run_float, &logaddexp_launches);
  cuda_kernel("core::logaddexp2", run_float, &logaddexp2_launches);
  cuda_kernel("core::logit", kernel<logit>);
  cuda_kernel("core::xlogy", run_float, &xlogy_launches);
}
ATLED_CUDA_KERNELS(add_explog);

}  // namespace

}  // namespace atled::core::cuda
