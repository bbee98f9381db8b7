#include "cuda/elementwise.cuh"
#include "functors/comparison.h"

namespace atled::core::cuda {

namespace {

template <class F>
LaunchTable equality() {
  return LaunchTable()
      .compare<F>(Unsigned{})
      .template compare<F>(Types<bool>{})
      .template compare<F>(Floats{})
      .template compare<F>(Complexes{})
      .share_signed();
}
template <class F>
LaunchTable order() {
  return LaunchTable().compare<F>(Integers{}).template compare<F>(Types<bool>{}).template compare<F>(Floats{});
}
template <class F, bool kInteger>
LaunchTable tests() {
  return LaunchTable()
      .test<Always<kInteger>>(Unsigned{})
      .template test<Always<kInteger>>(Types<bool>{})
      .template test<F>(Floats{})
      .template test<F>(Complexes{})
      .share_signed();
}
template <class F>
LaunchTable signed_infinity() {
  return LaunchTable()
      .test<Always<false>>(Unsigned{})
      .template test<Always<false>>(Types<bool>{})
      .template test<F>(Floats{})
      .share_signed();
}

const LaunchTable eq_launches = equality<Eq>();
const LaunchTable ne_launches = equality<Ne>();
const LaunchTable lt_launches = order<Lt>();
const LaunchTable le_launches = order<Le>();
const LaunchTable gt_launches = order<Gt>();
const LaunchTable ge_launches = order<Ge>();
const LaunchTable isnan_launches = tests<IsNan, false>();
const LaunchTable isinf_launches = tests<IsInf, false>();
const LaunchTable isfinite_launches = tests<IsFinite, true>();
const LaunchTable isposinf_launches = signed_infinity<IsSignedInf<false>>();
const LaunchTable isneginf_launches = signed_infinity<IsSignedInf<true>>();
const LaunchTable isreal_launches = LaunchTable()
                                        .test<Always<true>>(Unsigned{})
                                        .test<Always<true>>(Types<bool>{})
                                        .test<Always<true>>(Floats{})
                                        .test<IsReal>(Complexes{})
                                        .share_signed();
const LaunchTable signbit_launches =
    LaunchTable().test<Always<false>>(Types<bool>{}).test<SignBit>(Integers{}).test<SignBit>(Floats{});
const LaunchTable isclose_launches = LaunchTable().compare<IsClose>(Types<double, std::complex<double>>{});

void isclose(atled_frame* frame) {
  // In float64: the tolerances of integers and narrow floats must not be rounded away.
  const int dtype = is_complex(promoted(frame)) ? ATLED_COMPLEX128 : ATLED_FLOAT64;
  IsClose f{arg_double(frame, 2), arg_double(frame, 3), arg_bool(frame, 4)};
  if (!(f.rtol >= 0 && f.atol >= 0))
    fail(ATLED_E_VALUE, "expected rtol and atol of at least 0, got %g and %g", f.rtol, f.atol);
  Elementwise e;
  e.output(out_tensor(frame), ATLED_BOOL).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  find_launch(isclose_launches, dtype)(e, &f);
}

void add_comparison() {
  cuda_kernel("core::eq", run_bool, &eq_launches);
  cuda_kernel("core::ne", run_bool, &ne_launches);
  cuda_kernel("core::lt", run_bool, &lt_launches);
  cuda_kernel("core::le", run_bool, &le_launches);
  cuda_kernel("core::gt", run_bool, &gt_launches);
  cuda_kernel("core::ge", run_bool, &ge_launches);
  cuda_kernel("core::isnan", run_bool, &isnan_launches);
  cuda_kernel("core::isinf", run_bool, &isinf_launches);
  cuda_kernel("core::isfinite", run_bool, &isfinite_launches);
  cuda_kernel("core::isposinf", run_bool, &isposinf_launches);
  cuda_kernel("core::isneginf", run_bool, &isneginf_launches);
  cuda_kernel("core::isreal", run_bool, &isreal_launches);
  cuda_kernel("core::signbit", run_bool, &signbit_launches);
  cuda_kernel("core::isclose", kernel<isclose>);
}
ATLED_CUDA_KERNELS(add_comparison);

}  // namespace

}  // namespace atled::core::cuda
