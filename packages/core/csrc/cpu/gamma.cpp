#include "functors/gamma.h"

#include "cpu/special.h"
#include "functors/gamma_of_float.h"
#include "functors/incomplete_gamma.h"

namespace atled::core {

namespace {

// A function of an element and of an integer that is the same for all.
template <double (*f)(double, int64_t)>
struct WithInteger {
  int64_t n;
  template <class T>
  ATLED_FN T operator()(T x) const {
    return static_cast<T>(f(static_cast<double>(x), n));
  }
};
template <double (*f)(double, int64_t), int kArgument>
void with_integer(atled_frame* frame) {
  static const LoopTable loops = LoopTable().unary_plain<WithInteger<f>>(Floats{});
  WithInteger<f> functor{arg_int(frame, kArgument)};
  run_special(frame, loops, &functor);
}

struct LogGamma {
  ATLED_FN float operator()(float x) const { return special::log_gamma_in_vectors(x); }
};
const LoopTable lgamma_loops =
    LoopTable().unary<LogGamma>(Types<float>{}).unary_plain<OfDouble<special::log_gamma>>(Types<double>{});

double polygamma_of(double x, int64_t n) { return special::polygamma(n, x); }
double lower(double a, double x) { return special::incomplete_gamma(a, x, false); }
double upper(double a, double x) { return special::incomplete_gamma(a, x, true); }

void add_gamma() {
  cpu_kernel("core::lgamma", run_special_table, lgamma_loops);
  special_kernel<special::digamma>("core::digamma");
  special_kernel<lower>("core::igamma");
  special_kernel<upper>("core::igammac");
  special_kernel<special::zeta>("special::zeta");
  cpu_kernel("core::polygamma", kernel<with_integer<polygamma_of, 0>>);
  cpu_kernel("core::mvlgamma", kernel<with_integer<special::multi_log_gamma, 1>>);
}
ATLED_KERNELS(add_gamma);

}  // namespace

}  // namespace atled::core
