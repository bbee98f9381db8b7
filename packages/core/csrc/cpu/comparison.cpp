#include "functors/comparison.h"

#include "cpu/kernels.h"

namespace atled::core {

namespace {

template <class F>
LoopTable equality() {
  return LoopTable()
      .compare<F>(Unsigned{})
      .template compare<F>(Types<bool>{})
      .template compare<F>(Floats{})
      .template compare<F>(Complexes{})
      .share_signed();
}
template <class F>
LoopTable order() {
  return LoopTable().compare<F>(Integers{}).template compare<F>(Types<bool>{}).template compare<F>(Floats{});
}
template <class F, bool kInteger>
LoopTable tests() {
  return LoopTable()
      .test<Always<kInteger>>(Unsigned{})
      .template test<Always<kInteger>>(Types<bool>{})
      .template test<F>(Floats{})
      .template test<F>(Complexes{})
      .share_signed();
}
template <class F>
LoopTable signed_infinity() {
  return LoopTable()
      .test<Always<false>>(Unsigned{})
      .template test<Always<false>>(Types<bool>{})
      .template test<F>(Floats{})
      .share_signed();
}

const LoopTable eq_loops = equality<Eq>();
const LoopTable ne_loops = equality<Ne>();
const LoopTable lt_loops = order<Lt>();
const LoopTable le_loops = order<Le>();
const LoopTable gt_loops = order<Gt>();
const LoopTable ge_loops = order<Ge>();
const LoopTable isnan_loops = tests<IsNan, false>();
const LoopTable isinf_loops = tests<IsInf, false>();
const LoopTable isfinite_loops = tests<IsFinite, true>();
const LoopTable isposinf_loops = signed_infinity<IsSignedInf<false>>();
const LoopTable isneginf_loops = signed_infinity<IsSignedInf<true>>();
const LoopTable isreal_loops = LoopTable()
                                   .test<Always<true>>(Unsigned{})
                                   .test<Always<true>>(Types<bool>{})
                                   .test<Always<true>>(Floats{})
                                   .test<IsReal>(Complexes{})
                                   .share_signed();
const LoopTable signbit_loops =
    LoopTable().test<Always<false>>(Types<bool>{}).test<SignBit>(Integers{}).test<SignBit>(Floats{});
const LoopTable isclose_loops = LoopTable().compare<IsClose>(Types<double, std::complex<double>>{});

void isclose(atled_frame* frame) {
  // In float64: the tolerances of integers and narrow floats must not be rounded away.
  const int dtype = is_complex(promoted(frame)) ? ATLED_COMPLEX128 : ATLED_FLOAT64;
  IsClose f{arg_double(frame, 2), arg_double(frame, 3), arg_bool(frame, 4)};
  if (!(f.rtol >= 0 && f.atol >= 0))
    fail(ATLED_E_VALUE, "expected rtol and atol of at least 0, got %g and %g", f.rtol, f.atol);
  Elementwise e;
  e.output(out_tensor(frame), ATLED_BOOL).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  e.run(isclose_loops[dtype], &f);
}

void add_comparison() {
  cpu_kernel("core::eq", run_bool, eq_loops);
  cpu_kernel("core::ne", run_bool, ne_loops);
  cpu_kernel("core::lt", run_bool, lt_loops);
  cpu_kernel("core::le", run_bool, le_loops);
  cpu_kernel("core::gt", run_bool, gt_loops);
  cpu_kernel("core::ge", run_bool, ge_loops);
  cpu_kernel("core::isnan", run_bool, isnan_loops);
  cpu_kernel("core::isinf", run_bool, isinf_loops);
  cpu_kernel("core::isfinite", run_bool, isfinite_loops);
  cpu_kernel("core::isposinf", run_bool, isposinf_loops);
  cpu_kernel("core::isneginf", run_bool, isneginf_loops);
  cpu_kernel("core::isreal", run_bool, isreal_loops);
  cpu_kernel("core::signbit", run_bool, signbit_loops);
  cpu_kernel("core::isclose", kernel<isclose>);
}
ATLED_KERNELS(add_comparison);

}  // namespace

}  // namespace atled::core
