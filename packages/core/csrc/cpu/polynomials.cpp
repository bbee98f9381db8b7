#include "functors/polynomials.h"

#include "cpu/special.h"

namespace atled::core {

namespace {

// A degree beyond the limit is told of through `beyond`, which the kernel turns into an error.
template <double (*f)(double, int64_t)>
struct OfDegree {
  bool* beyond;
  template <class T>
  ATLED_FN T operator()(T x, T n) const {
    if (x != x || n != n) return x + n;
    if (n > T(special::kMaxDegree)) {
      *beyond = true;
      return 0;
    }
    return static_cast<T>(f(static_cast<double>(x), n < 0 ? -1 : static_cast<int64_t>(n)));
  }
};

template <double (*f)(double, int64_t)>
void polynomial(atled_frame* frame) {
  static const LoopTable loops = LoopTable().binary_plain<OfDegree<f>>(Floats{});
  bool beyond = false;
  OfDegree<f> functor{&beyond};
  run_special(frame, loops, &functor);
  if (beyond) fail(ATLED_E_VALUE, "expected n of at most %.0f, got more among the elements", special::kMaxDegree);
}

void add_polynomials() {
  using namespace special;
  cpu_kernel("special::chebyshev_polynomial_t", kernel<polynomial<chebyshev_t>>);
  cpu_kernel("special::chebyshev_polynomial_u", kernel<polynomial<chebyshev_u>>);
  cpu_kernel("special::chebyshev_polynomial_v", kernel<polynomial<chebyshev_v>>);
  cpu_kernel("special::chebyshev_polynomial_w", kernel<polynomial<chebyshev_w>>);
  cpu_kernel("special::shifted_chebyshev_polynomial_t", kernel<polynomial<shifted_chebyshev_t>>);
  cpu_kernel("special::shifted_chebyshev_polynomial_u", kernel<polynomial<shifted_chebyshev_u>>);
  cpu_kernel("special::shifted_chebyshev_polynomial_v", kernel<polynomial<shifted_chebyshev_v>>);
  cpu_kernel("special::shifted_chebyshev_polynomial_w", kernel<polynomial<shifted_chebyshev_w>>);
  cpu_kernel("special::hermite_polynomial_h", kernel<polynomial<hermite_h>>);
  cpu_kernel("special::hermite_polynomial_he", kernel<polynomial<hermite_he>>);
  cpu_kernel("special::laguerre_polynomial_l", kernel<polynomial<laguerre_l>>);
  cpu_kernel("special::legendre_polynomial_p", kernel<polynomial<legendre_p>>);
}
ATLED_KERNELS(add_polynomials);

}  // namespace

}  // namespace atled::core
