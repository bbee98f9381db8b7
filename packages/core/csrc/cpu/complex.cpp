#include "functors/complex.h"

#include "cpu/kernels.h"
#include "functors/arithmetic.h"
#include "functors/logical.h"

namespace atled::core {

namespace {

const LoopTable conj_loops = [] {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(unary<bool, uint8_t, Truth>);
  return t.unary<Positive>(Unsigned{}).unary<Positive>(Floats{}).unary<Conj>(Complexes{}).share_signed();
}();
const LoopTable angle_loops = [] {
  LoopTable t;
  t[ATLED_COMPLEX64] = ATLED_PICK(unary<float, std::complex<float>, Angle>);
  t[ATLED_COMPLEX128] = ATLED_PICK(unary<double, std::complex<double>, Angle>);
  return t.unary<Angle>(Floats{});
}();

void angle(atled_frame* frame) {
  const atled_tensor* input = arg_tensor(frame, 0);
  const int dtype = compute_dtype(float_dtype(input->dtype));
  Elementwise().output(out_tensor(frame), real_dtype(dtype)).input(input, dtype).run(angle_loops[dtype]);
}

// Reads two real numbers, writes a complex one.
template <class F>
void pair(atled_frame* frame) {
  const int dtype = promoted(frame), out = dtype == ATLED_FLOAT64 ? ATLED_COMPLEX128 : ATLED_COMPLEX64;
  Elementwise e;
  e.output(out_tensor(frame), out).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  e.run(dtype == ATLED_FLOAT64 ? Baseline::binary<std::complex<double>, double, double, F>
                               : Baseline::binary<std::complex<float>, float, float, F>);
}

void add_complex() {
  cpu_kernel("core::conj", run_same, conj_loops);
  fused_kernel("core::angle", kernel<angle>);
  fused_kernel("core::complex", kernel<pair<MakeComplex>>);
  fused_kernel("core::polar", kernel<pair<Polar>>);
}
ATLED_KERNELS(add_complex);

}  // namespace

}  // namespace atled::core
