#include "functors/trig.h"

#include "cpu/halves.h"

namespace atled::core {

namespace {

template <class F>
LoopTable library() {
  return LoopTable().unary_plain<F>(Floats{}).template unary_plain<F>(Complexes{});
}

// float and double in vectors at each level.
template <class F>
LoopTable in_vectors() {
  return LoopTable().unary<F>(Floats{}).template unary_plain<F>(Complexes{});
}

template <class Fast, class F>
LoopTable checked() {
  LoopTable t = library<F>();
  t[ATLED_FLOAT32] = ATLED_PICK(unary_checked<float, Fast>);
  t[ATLED_FLOAT64] = ATLED_PICK(unary_checked<double, Fast>);
  return t;
}

const LoopTable sin_loops = checked<FastSin, Sin>();
const LoopTable cos_loops = checked<FastCos, Cos>();
const LoopTable tan_loops = checked<FastTan, Tan>();
const LoopTable asin_loops = in_vectors<Asin>();
const LoopTable acos_loops = in_vectors<Acos>();
const LoopTable atan_loops = in_vectors<Atan>();
const LoopTable sinh_loops = in_vectors<Sinh>();
const LoopTable cosh_loops = in_vectors<Cosh>();
const LoopTable tanh_loops = in_vectors<Tanh>();
const LoopTable asinh_loops = in_vectors<Asinh>();
const LoopTable acosh_loops = in_vectors<Acosh>();
const LoopTable atanh_loops = in_vectors<Atanh>();
const LoopTable atan2_loops = LoopTable().binary<Atan2>(Floats{});
const LoopTable hypot_loops = LoopTable().binary<Hypot>(Floats{});
// The constant's rounding to float does not show in halves.
struct HalfDeg2Rad {
  ATLED_FN float operator()(float x) const { return x * 0.0174532925f; }
};
struct HalfRad2Deg {
  ATLED_FN float operator()(float x) const { return x * 57.2957795f; }
};
const LoopTable deg2rad_loops = with_halves<HalfDeg2Rad>(LoopTable().unary<Deg2Rad>(Floats{}));
const LoopTable rad2deg_loops = with_halves<HalfRad2Deg>(LoopTable().unary<Rad2Deg>(Floats{}));
const LoopTable sinc_loops = in_vectors<Sinc>();

void add_trig() {
  cpu_kernel("core::sin", run_float, sin_loops);
  cpu_kernel("core::cos", run_float, cos_loops);
  cpu_kernel("core::tan", run_float, tan_loops);
  cpu_kernel("core::asin", run_float, asin_loops);
  cpu_kernel("core::acos", run_float, acos_loops);
  cpu_kernel("core::atan", run_float, atan_loops);
  cpu_kernel("core::sinh", run_float, sinh_loops);
  cpu_kernel("core::cosh", run_float, cosh_loops);
  cpu_kernel("core::tanh", run_float, tanh_loops);
  cpu_kernel("core::asinh", run_float, asinh_loops);
  cpu_kernel("core::acosh", run_float, acosh_loops);
  cpu_kernel("core::atanh", run_float, atanh_loops);
  cpu_kernel("core::atan2", run_float, atan2_loops);
  cpu_kernel("core::hypot", run_float, hypot_loops);
  cpu_kernel("core::deg2rad", run_float, deg2rad_loops);
  cpu_kernel("core::rad2deg", run_float, rad2deg_loops);
  cpu_kernel("core::sinc", run_float, sinc_loops);
}
ATLED_KERNELS(add_trig);

}  // namespace

}  // namespace atled::core
