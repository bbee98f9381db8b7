#include "functors/explog.h"

#include "cpu/halves.h"

namespace atled::core {

namespace {

// float and double in vectors at each level; complex as the library has it.
template <class F>
LoopTable complex_loops() {
  return LoopTable().unary<F>(Floats{}).template unary_plain<F>(Complexes{});
}

const LoopTable exp_loops = complex_loops<Exp>();
const LoopTable exp2_loops = complex_loops<Exp2>();
const LoopTable expm1_loops = complex_loops<Expm1>();
const LoopTable log_loops = complex_loops<Log>();
const LoopTable log2_loops = complex_loops<Log2>();
const LoopTable log10_loops = complex_loops<Log10>();
const LoopTable log1p_loops = complex_loops<Log1p>();
const LoopTable sqrt_loops = with_halves<Sqrt>(complex_loops<Sqrt>());
const LoopTable rsqrt_loops = with_halves<Rsqrt>(complex_loops<Rsqrt>());
const LoopTable sigmoid_loops = complex_loops<Sigmoid>();
const LoopTable erf_loops = LoopTable().unary<Erf>(Floats{});
const LoopTable erfc_loops = LoopTable().unary<Erfc>(Floats{});

template <class F>
LoopTable pair_loops() {
  return LoopTable().binary<F>(Floats{});
}

const LoopTable logaddexp_loops = pair_loops<LogAddExp<false>>();
const LoopTable logaddexp2_loops = pair_loops<LogAddExp<true>>();
const LoopTable xlogy_loops = pair_loops<Xlogy>();

template <class T>
void run_logit(Elementwise& e, atled_loop loop, double low, double high) {
  Logit<T> f{static_cast<T>(low), static_cast<T>(high)};
  e.run(loop, &f);
}

void logit(atled_frame* frame) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const bool clamped = !arg_is_none(frame, 1);
  const double eps = clamped ? arg_double(frame, 1) : 0;
  const double low = clamped ? eps : -kInfinity, high = clamped ? 1 - eps : kInfinity;
  const int dtype = compute_dtype(float_dtype(arg_tensor(frame, 0)->dtype));
  Elementwise e;
  e.output(out_tensor(frame), dtype).input(arg_tensor(frame, 0), dtype);
  if (dtype == ATLED_FLOAT32) return run_logit<float>(e, ATLED_PICK(unary<float, float, Logit<float>>), low, high);
  run_logit<double>(e, ATLED_PICK(unary<double, double, Logit<double>>), low, high);
}

void add_explog() {
  cpu_kernel("core::exp", run_float, exp_loops);
  cpu_kernel("core::exp2", run_float, exp2_loops);
  cpu_kernel("core::expm1", run_float, expm1_loops);
  cpu_kernel("core::log", run_float, log_loops);
  cpu_kernel("core::log2", run_float, log2_loops);
  cpu_kernel("core::log10", run_float, log10_loops);
  cpu_kernel("core::log1p", run_float, log1p_loops);
  cpu_kernel("core::sqrt", run_float, sqrt_loops);
  cpu_kernel("core::rsqrt", run_float, rsqrt_loops);
  cpu_kernel("core::sigmoid", run_float, sigmoid_loops);
  cpu_kernel("core::erf", run_float, erf_loops);
  cpu_kernel("core::erfc", run_float, erfc_loops);
  cpu_kernel("core::logaddexp", run_float, logaddexp_loops);
  cpu_kernel("core::logaddexp2", run_float, logaddexp2_loops);
  fused_kernel("core::logit", kernel<logit>);
  cpu_kernel("core::xlogy", run_float, xlogy_loops);
}
ATLED_KERNELS(add_explog);

}  // namespace

}  // namespace atled::core
