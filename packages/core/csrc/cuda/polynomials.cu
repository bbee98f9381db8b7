#include "cuda/special.cuh"
#include "functors/polynomials.h"

namespace atled::core::cuda {

namespace {

// A degree beyond the limit is told of through `beyond`, which the kernel turns into an error.
template <class F>
struct OfDegree {
  bool* beyond;
  template <class T>
  ATLED_FN T operator()(T x, T n) const {
    if (x != x || n != n) return x + n;
    if (n > T(special::kMaxDegree)) {
      *beyond = true;
      return 0;
    }
    return static_cast<T>(F{}(static_cast<double>(x), n < 0 ? -1 : static_cast<int64_t>(n)));
  }
};

#define ATLED_POLYNOMIAL(Name, function)                                                               \
  struct Name {                                                                                        \
    ATLED_OUT_OF_LINE double operator()(double x, int64_t n) const { return special::function(x, n); } \
  }
ATLED_POLYNOMIAL(ChebyshevT, chebyshev_t);
ATLED_POLYNOMIAL(ChebyshevU, chebyshev_u);
ATLED_POLYNOMIAL(ChebyshevV, chebyshev_v);
ATLED_POLYNOMIAL(ChebyshevW, chebyshev_w);
ATLED_POLYNOMIAL(ShiftedT, shifted_chebyshev_t);
ATLED_POLYNOMIAL(ShiftedU, shifted_chebyshev_u);
ATLED_POLYNOMIAL(ShiftedV, shifted_chebyshev_v);
ATLED_POLYNOMIAL(ShiftedW, shifted_chebyshev_w);
ATLED_POLYNOMIAL(HermiteH, hermite_h);
ATLED_POLYNOMIAL(HermiteHe, hermite_he);
ATLED_POLYNOMIAL(LaguerreL, laguerre_l);
ATLED_POLYNOMIAL(LegendreP, legendre_p);

template <class F>
void polynomial(atled_frame* frame) {
  static const LaunchTable table = LaunchTable().binary<OfDegree<F>>(Floats{});
  const int dtype = float_dtype(promoted(frame));
  const Flag beyond(out_tensor(frame)->dl.device);
  const OfDegree<F> f{beyond.get()};
  Elementwise e;
  e.output(out_tensor(frame), compute_dtype(dtype));
  for (int i = 0; i < 2; ++i) e.operand(frame->args[i], compute_dtype(dtype));
  find_launch(table, dtype)(e, &f);
  if (beyond.is_set())
    fail(ATLED_E_VALUE, "expected n of at most %.0f, got more among the elements", special::kMaxDegree);
}

void add_polynomials() {
  cuda_kernel("special::chebyshev_polynomial_t", kernel<polynomial<ChebyshevT>>);
  cuda_kernel("special::chebyshev_polynomial_u", kernel<polynomial<ChebyshevU>>);
  cuda_kernel("special::chebyshev_polynomial_v", kernel<polynomial<ChebyshevV>>);
  cuda_kernel("special::chebyshev_polynomial_w", kernel<polynomial<ChebyshevW>>);
  cuda_kernel("special::shifted_chebyshev_polynomial_t", kernel<polynomial<ShiftedT>>);
  cuda_kernel("special::shifted_chebyshev_polynomial_u", kernel<polynomial<ShiftedU>>);
  cuda_kernel("special::shifted_chebyshev_polynomial_v", kernel<polynomial<ShiftedV>>);
  cuda_kernel("special::shifted_chebyshev_polynomial_w", kernel<polynomial<ShiftedW>>);
  cuda_kernel("special::hermite_polynomial_h", kernel<polynomial<HermiteH>>);
  cuda_kernel("special::hermite_polynomial_he", kernel<polynomial<HermiteHe>>);
  cuda_kernel("special::laguerre_polynomial_l", kernel<polynomial<LaguerreL>>);
  cuda_kernel("special::legendre_polynomial_p", kernel<polynomial<LegendreP>>);
}
ATLED_CUDA_KERNELS(add_polynomials);

}  // namespace

}  // namespace atled::core::cuda
