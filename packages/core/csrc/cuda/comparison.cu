#include "cuda/elementwise.cuh"
#include "functors/comparisons.h"

namespace atled::core::cuda {

namespace {

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
  Comparisons<LaunchTable>::each([](const char* op, const LaunchTable& table) { cuda_kernel(op, run_bool, &table); });
  cuda_kernel("core::isclose", kernel<isclose>);
}
ATLED_CUDA_KERNELS(add_comparison);

}  // namespace

}  // namespace atled::core::cuda
