#include "cpu/kernels.h"
#include "functors/comparisons.h"

namespace atled::core {

namespace {

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
  Comparisons<LoopTable>::each([](const char* op, const LoopTable& table) { cpu_kernel(op, run_bool, table); });
  fused_kernel("core::isclose", kernel<isclose>);
}
ATLED_KERNELS(add_comparison);

}  // namespace

}  // namespace atled::core
