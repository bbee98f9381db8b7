#include "functors/bessel.h"

#include "cpu/special.h"
#include "functors/double_math.h"

namespace atled::core {

namespace {

template <double (*f)(double, bool), bool kScaled>
double scaled(double x) {
  return f(x, kScaled);
}

// I0 or I1 without branches, by both forms.
template <int kOrder, bool kScaled>
struct ModifiedBessel {
  template <class T>
  ATLED_FN T operator()(T x) const {
    constexpr bool kOfFloat = std::is_same_v<T, float>;
    const double a = std::fabs(static_cast<double>(x));
    const double near = kOrder ? special::i1e_near<kOfFloat>(a) : special::i0e_near<kOfFloat>(a);
    const double far = kOrder ? special::i1e_far<kOfFloat>(a) : special::i0e_far<kOfFloat>(a);
    double y = a <= 8 ? near : far;
    if constexpr (!kScaled) {
      // The product overflows later than the exponential.
      const fmath::ExpParts p = fmath::exp_parts(a > 720.0 ? 720.0 : a);
      const double unscaled = fmath::scaled(1.0 + (p.rest + p.r), p.k.n - 16) * y * 65536.0;
      y = a == fmath::kHuge ? a : unscaled;
    }
    return static_cast<T>(kOrder ? std::copysign(y, static_cast<double>(x)) : y);
  }
};
template <int kOrder, bool kScaled>
const LoopTable modified = LoopTable().unary<ModifiedBessel<kOrder, kScaled>>(Floats{});

void add_bessel() {
  cpu_kernel("core::i0", run_special_table, modified<0, false>);
  cpu_kernel("special::i0e", run_special_table, modified<0, true>);
  cpu_kernel("special::i1", run_special_table, modified<1, false>);
  cpu_kernel("special::i1e", run_special_table, modified<1, true>);
  special_kernel<special::bessel_j0>("special::bessel_j0");
  special_kernel<special::bessel_j1>("special::bessel_j1");
  special_kernel<special::bessel_y0>("special::bessel_y0");
  special_kernel<special::bessel_y1>("special::bessel_y1");
  special_kernel<scaled<special::bessel_k0, false>>("special::modified_bessel_k0");
  special_kernel<scaled<special::bessel_k1, false>>("special::modified_bessel_k1");
  special_kernel<scaled<special::bessel_k0, true>>("special::scaled_modified_bessel_k0");
  special_kernel<scaled<special::bessel_k1, true>>("special::scaled_modified_bessel_k1");
  special_kernel<special::spherical_bessel_j0>("special::spherical_bessel_j0");
  special_kernel<special::airy_ai>("special::airy_ai");
}
ATLED_KERNELS(add_bessel);

}  // namespace

}  // namespace atled::core
