#include "cuda/complex_math.cuh"
#include "functors/trig.h"

namespace atled::core::cuda {

namespace {

template <class F>
LaunchTable library() {
  return LaunchTable().unary<F>(Floats{});
}

ATLED_COMPLEX_LIBRARY(ComplexSin, sin);
ATLED_COMPLEX_LIBRARY(ComplexCos, cos);
ATLED_COMPLEX_LIBRARY(ComplexAsin, asin);
ATLED_COMPLEX_LIBRARY(ComplexAcos, acos);
ATLED_COMPLEX_LIBRARY(ComplexAtan, atan);
ATLED_COMPLEX_LIBRARY(ComplexSinh, sinh);
ATLED_COMPLEX_LIBRARY(ComplexCosh, cosh);
ATLED_COMPLEX_LIBRARY(ComplexAsinh, asinh);
ATLED_COMPLEX_LIBRARY(ComplexAcosh, acosh);
ATLED_COMPLEX_LIBRARY(ComplexAtanh, atanh);
// A real part of 0 stays that, whatever the imaginary one.
ATLED_OF_COMPLEX(ComplexTanh, {
  const double b = z.imag();
  if (z.real() == 0 && b - b != 0) return {z.real(), b - b};
  return from_library(thrust::tanh(to_library(z)));
});
// -i tanh(iz)
ATLED_OF_COMPLEX(ComplexTan, {
  const Complex t = ComplexTanh{}({-z.imag(), z.real()});
  return {t.imag(), -t.real()};
});
ATLED_OF_COMPLEX(ComplexSinc, {
  if (z.real() == 0 && z.imag() == 0) return 1;
  const double a = kPi * z.real(), b = kPi * z.imag();
  return ComplexDivide{}(ComplexSin{}({kPi * Sinc::period(z.real()), b}), {a, b});
});

const LaunchTable sin_launches = library<Sin>();
const LaunchTable cos_launches = library<Cos>();
const LaunchTable tan_launches = library<Tan>();
const LaunchTable asin_launches = library<Asin>();
const LaunchTable acos_launches = library<Acos>();
const LaunchTable atan_launches = library<Atan>();
const LaunchTable sinh_launches = library<Sinh>();
const LaunchTable cosh_launches = library<Cosh>();
const LaunchTable tanh_launches = library<Tanh>();
const LaunchTable asinh_launches = library<Asinh>();
const LaunchTable acosh_launches = library<Acosh>();
const LaunchTable atanh_launches = library<Atanh>();
const LaunchTable atan2_launches = LaunchTable().binary<Atan2>(Floats{});
const LaunchTable hypot_launches = LaunchTable().binary<Hypot>(Floats{});
const LaunchTable deg2rad_launches = LaunchTable().unary<Deg2Rad>(Floats{});
const LaunchTable rad2deg_launches = LaunchTable().unary<Rad2Deg>(Floats{});
const LaunchTable sinc_launches = library<Sinc>();

void add_trig() {
  cuda_kernel("core::sin", run_float_or_complex<ComplexSin>, &sin_launches);
  cuda_kernel("core::cos", run_float_or_complex<ComplexCos>, &cos_launches);
  cuda_kernel("core::tan", run_float_or_complex<ComplexTan>, &tan_launches);
  cuda_kernel("core::asin", run_float_or_complex<ComplexAsin>, &asin_launches);
  cuda_kernel("core::acos", run_float_or_complex<ComplexAcos>, &acos_launches);
  cuda_kernel("core::atan", run_float_or_complex<ComplexAtan>, &atan_launches);
  cuda_kernel("core::sinh", run_float_or_complex<ComplexSinh>, &sinh_launches);
  cuda_kernel("core::cosh", run_float_or_complex<ComplexCosh>, &cosh_launches);
  cuda_kernel("core::tanh", run_float_or_complex<ComplexTanh>, &tanh_launches);
  cuda_kernel("core::asinh", run_float_or_complex<ComplexAsinh>, &asinh_launches);
  cuda_kernel("core::acosh", run_float_or_complex<ComplexAcosh>, &acosh_launches);
  cuda_kernel("core::atanh", run_float_or_complex<ComplexAtanh>, &atanh_launches);
  cuda_kernel("core::atan2", run_float, &atan2_launches);
  cuda_kernel("core::hypot", run_float, &hypot_launches);
  cuda_kernel("core::deg2rad", run_float, &deg2rad_launches);
  cuda_kernel("core::rad2deg", run_float, &rad2deg_launches);
  cuda_kernel("core::sinc", run_float_or_complex<ComplexSinc>, &sinc_launches);
}
ATLED_CUDA_KERNELS(add_trig);

}  // namespace

}  // namespace atled::core::cuda
