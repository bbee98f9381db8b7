#include "cuda/elementwise.cuh"
#include "functors/arithmetic.h"
#include "functors/complex.h"
#include "functors/logical.h"

namespace atled::core::cuda {

namespace {

const LaunchTable conj_launches = [] {
  LaunchTable t;
  t.set<Truth, bool, bool>(ATLED_BOOL);
  return t.unary<Positive>(Unsigned{}).unary<Positive>(Floats{}).unary<Conj>(Complexes{}).share_signed();
}();
const LaunchTable angle_launches = [] {
  LaunchTable t;
  t.set<Angle, float, std::complex<float>>(ATLED_COMPLEX64);
  t.set<Angle, double, std::complex<double>>(ATLED_COMPLEX128);
  return t.unary<Angle>(Floats{});
}();

void angle(atled_frame* frame) {
  const atled_tensor* input = arg_tensor(frame, 0);
  const int dtype = compute_dtype(float_dtype(input->dtype));
  Elementwise e;
  e.output(out_tensor(frame), real_dtype(dtype)).input(input, dtype);
  find_launch(angle_launches, dtype)(e, nullptr);
}

// Reads two real numbers, writes a complex one.
template <class F>
void pair(atled_frame* frame) {
  const int dtype = compute_dtype(promoted(frame)), out = dtype == ATLED_FLOAT64 ? ATLED_COMPLEX128 : ATLED_COMPLEX64;
  Elementwise e;
  e.output(out_tensor(frame), out).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  if (dtype == ATLED_FLOAT64)
    e.run<std::complex<double>, double, double>(F{});
  else
    e.run<std::complex<float>, float, float>(F{});
}

void add_complex() {
  cuda_kernel("core::conj", run_same, &conj_launches);
  cuda_kernel("core::angle", kernel<angle>);
  cuda_kernel("core::complex", kernel<pair<MakeComplex>>);
  cuda_kernel("core::polar", kernel<pair<Polar>>);
}
ATLED_CUDA_KERNELS(add_complex);

}  // namespace

}  // namespace atled::core::cuda
