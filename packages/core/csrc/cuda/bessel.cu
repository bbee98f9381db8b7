#include "cuda/special.cuh"
#include "functors/bessel.h"

namespace atled::core::cuda {

namespace {

ATLED_OF_DOUBLE(I0, special::i0(x));
ATLED_OF_DOUBLE(I0e, special::i0e(x));
ATLED_OF_DOUBLE(I1, special::i1(x));
ATLED_OF_DOUBLE(I1e, special::i1e(x));
ATLED_OF_DOUBLE(J0, special::bessel_j0(x));
ATLED_OF_DOUBLE(J1, special::bessel_j1(x));
ATLED_OF_DOUBLE(Y0, special::bessel_y0(x));
ATLED_OF_DOUBLE(Y1, special::bessel_y1(x));
ATLED_OF_DOUBLE(K0, special::bessel_k0(x, false));
ATLED_OF_DOUBLE(K1, special::bessel_k1(x, false));
ATLED_OF_DOUBLE(K0e, special::bessel_k0(x, true));
ATLED_OF_DOUBLE(K1e, special::bessel_k1(x, true));
ATLED_OF_DOUBLE(SphericalJ0, special::spherical_bessel_j0(x));
ATLED_OF_DOUBLE(AiryAi, special::airy_ai(x));

void add_bessel() {
  cuda_kernel("core::i0", run_float, &of_double<I0>);
  cuda_kernel("special::i0e", run_float, &of_double<I0e>);
  cuda_kernel("special::i1", run_float, &of_double<I1>);
  cuda_kernel("special::i1e", run_float, &of_double<I1e>);
  cuda_kernel("special::bessel_j0", run_float, &of_double<J0>);
  cuda_kernel("special::bessel_j1", run_float, &of_double<J1>);
  cuda_kernel("special::bessel_y0", run_float, &of_double<Y0>);
  cuda_kernel("special::bessel_y1", run_float, &of_double<Y1>);
  cuda_kernel("special::modified_bessel_k0", run_float, &of_double<K0>);
  cuda_kernel("special::modified_bessel_k1", run_float, &of_double<K1>);
  cuda_kernel("special::scaled_modified_bessel_k0", run_float, &of_double<K0e>);
  cuda_kernel("special::scaled_modified_bessel_k1", run_float, &of_double<K1e>);
  cuda_kernel("special::spherical_bessel_j0", run_float, &of_double<SphericalJ0>);
  cuda_kernel("special::airy_ai", run_float, &of_double<AiryAi>);
}
ATLED_CUDA_KERNELS(add_bessel);

}  // namespace

}  // namespace atled::core::cuda
