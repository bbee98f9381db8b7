#include "functors/bessel.h"

#include "cpu/special.h"

namespace atled::core {

namespace {

template <double (*f)(double, bool), bool kScaled>
double scaled(double x) {
  return f(x, kScaled);
}

void add_bessel() {
  special_kernel<special::i0>("core::i0");
  special_kernel<special::i0e>("special::i0e");
  special_kernel<special::i1>("special::i1");
  special_kernel<special::i1e>("special::i1e");
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
