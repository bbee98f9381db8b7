#include "cuda/elementwise.cuh"
#include "functors/trig.h"

namespace atled::core::cuda {

namespace {

template <class F>
LaunchTable library() {
  return LaunchTable().unary<F>(Floats{});
}

// Huge arguments of float take the library's way.
template <class Fast, class F>
LaunchTable checked() {
  LaunchTable t = library<F>();
  return t.set<Checked<Fast>, float, float>(ATLED_FLOAT32);
}

const LaunchTable sin_launches = checked<FastSin, Sin>();
const LaunchTable cos_launches = checked<FastCos, Cos>();
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
  cuda_kernel("core::sin", run_float, &sin_launches);
  cuda_kernel("core::cos", run_float, &cos_launches);
  cuda_kernel("core::tan", run_float, &tan_launches);
  cuda_kernel("core::asin", run_float, &asin_launches);
  cuda_kernel("core::acos", run_float, &acos_launches);
  cuda_kernel("core::atan", run_float, &atan_launches);
  cuda_kernel("core::sinh", run_float, &sinh_launches);
  cuda_kernel("core::cosh", run_float, &cosh_launches);
  cuda_kernel("core::tanh", run_float, &tanh_launches);
  cuda_kernel("core::asinh", run_float, &asinh_launches);
  cuda_kernel("core::acosh", run_float, &acosh_launches);
  cuda_kernel("core::atanh", run_float, &atanh_launches);
  cuda_kernel("core::atan2", run_float, &atan2_launches);
  cuda_kernel("core::hypot", run_float, &hypot_launches);
  cuda_kernel("core::deg2rad", run_float, &deg2rad_launches);
  cuda_kernel("core::rad2deg", run_float, &rad2deg_launches);
  cuda_kernel("core::sinc", run_float, &sinc_launches);
}
ATLED_CUDA_KERNELS(add_trig);

}  // namespace

}  // namespace atled::core::cuda
