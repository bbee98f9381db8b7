#include "cuda/complex_math.cuh"
#include "functors/explog.h"

namespace atled::core::cuda {

namespace {

template <class F>
LaunchTable float_launches() {
  return LaunchTable().unary<F>(Floats{});
}
ATLED_OF_COMPLEX(ComplexExp2, return ComplexExp{}(0.69314718055994530942 * z));
ATLED_OF_COMPLEX(ComplexLog2, return ComplexLog{}(z) / 0.69314718055994530942);
ATLED_OF_COMPLEX(ComplexLog10, return ComplexLog{}(z) / 2.30258509299404568402);
ATLED_OF_COMPLEX(ComplexRsqrt, return ComplexDivide{}(1, ComplexSqrt{}(z)));
ATLED_OF_COMPLEX(ComplexSigmoid, return ComplexDivide{}(1, 1.0 + ComplexExp{}(-z)));
// exp(a) cos(b) - 1 = expm1(a) cos(b) - 2 sin(b / 2)^2
ATLED_OF_COMPLEX(ComplexExpm1, {
  const double a = z.real(), b = z.imag(), s = std::sin(b / 2), e = std::exp(a);
  if (a - a != 0 || b - b != 0 || e - e != 0) return ComplexExp{}(z)-1.0;
  return {std::expm1(a) * std::cos(b) - 2 * s * s, e * std::sin(b)};
});

const LaunchTable exp_launches = float_launches<Exp>();
const LaunchTable exp2_launches = float_launches<Exp2>();
const LaunchTable expm1_launches = float_launches<Expm1>();
const LaunchTable log_launches = float_launches<Log>();
const LaunchTable log2_launches = float_launches<Log2>();
const LaunchTable log10_launches = float_launches<Log10>();
const LaunchTable log1p_launches = float_launches<Log1p>().unary<Log1p>(Complexes{});
const LaunchTable sqrt_launches = LaunchTable().unary<Sqrt>(Floats{});
const LaunchTable rsqrt_launches = LaunchTable().unary<Rsqrt>(Floats{});
const LaunchTable sigmoid_launches = float_launches<Sigmoid>();
const LaunchTable erf_launches = float_launches<Erf>();
const LaunchTable erfc_launches = float_launches<Erfc>();

template <class F>
LaunchTable pair_launches() {
  return LaunchTable().binary<F>(Floats{});
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
  cuda_kernel("core::exp", run_float_or_complex<ComplexExp>, &exp_launches);
  cuda_kernel("core::exp2", run_float_or_complex<ComplexExp2>, &exp2_launches);
  cuda_kernel("core::expm1", run_float_or_complex<ComplexExpm1>, &expm1_launches);
  cuda_kernel("core::log", run_float_or_complex<ComplexLog>, &log_launches);
  cuda_kernel("core::log2", run_float_or_complex<ComplexLog2>, &log2_launches);
  cuda_kernel("core::log10", run_float_or_complex<ComplexLog10>, &log10_launches);
  cuda_kernel("core::log1p", run_float, &log1p_launches);
  cuda_kernel("core::sqrt", run_float_or_complex<ComplexSqrt>, &sqrt_launches);
  cuda_kernel("core::rsqrt", run_float_or_complex<ComplexRsqrt>, &rsqrt_launches);
  cuda_kernel("core::sigmoid", run_float_or_complex<ComplexSigmoid>, &sigmoid_launches);
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
