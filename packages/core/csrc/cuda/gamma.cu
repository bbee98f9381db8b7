#include "cuda/special.cuh"
#include "functors/gamma.h"
#include "functors/gamma_of_float.h"
#include "functors/incomplete_gamma.h"

namespace atled::core::cuda {

namespace {

struct LogGamma {
  ATLED_OUT_OF_LINE double operator()(double x) const { return special::log_gamma(x); }
  ATLED_OUT_OF_LINE float operator()(float x) const { return special::log_gamma_of_float(x); }
};
struct Digamma {
  ATLED_OUT_OF_LINE double operator()(double x) const { return special::digamma(x); }
  ATLED_OUT_OF_LINE float operator()(float x) const { return special::digamma_of_float(x); }
};
ATLED_OF_DOUBLES(Lower, special::incomplete_gamma(x, y, false));
ATLED_OF_DOUBLES(Upper, special::incomplete_gamma(x, y, true));
ATLED_OF_DOUBLES(Zeta, special::zeta(x, y));

// Functions of an element and of an integer that is the same for all.
struct Polygamma {
  int64_t n;
  template <class T>
  ATLED_FN T operator()(T x) const {
    return static_cast<T>(of(static_cast<double>(x)));
  }
  ATLED_OUT_OF_LINE double of(double x) const { return special::polygamma(n, x); }
};
struct MultiLogGamma {
  int64_t n;
  template <class T>
  ATLED_FN T operator()(T x) const {
    return static_cast<T>(of(static_cast<double>(x)));
  }
  ATLED_OUT_OF_LINE double of(double x) const { return special::multi_log_gamma(x, n); }
};
template <class F, int kInteger, int kInput>
void with_integer(atled_frame* frame) {
  static const LaunchTable table = LaunchTable().unary<F>(Floats{});
  const F f{arg_int(frame, kInteger)};
  const atled_tensor* input = arg_tensor(frame, kInput);
  const int dtype = float_dtype(input->dtype);
  Elementwise e;
  e.output(out_tensor(frame), compute_dtype(dtype)).input(input, compute_dtype(dtype));
  find_launch(table, dtype)(e, &f);
}

template <class F>
const LaunchTable of_each = LaunchTable().unary<F>(Floats{});

void add_gamma() {
  cuda_kernel("core::lgamma", run_float, &of_each<LogGamma>);
  cuda_kernel("core::digamma", run_float, &of_each<Digamma>);
  cuda_kernel("core::igamma", run_float, &of_doubles<Lower>);
  cuda_kernel("core::igammac", run_float, &of_doubles<Upper>);
  cuda_kernel("special::zeta", run_float, &of_doubles<Zeta>);
  cuda_kernel("core::polygamma", kernel<with_integer<Polygamma, 0, 1>>);
  cuda_kernel("core::mvlgamma", kernel<with_integer<MultiLogGamma, 1, 0>>);
}
ATLED_CUDA_KERNELS(add_gamma);

}  // namespace

}  // namespace atled::core::cuda
