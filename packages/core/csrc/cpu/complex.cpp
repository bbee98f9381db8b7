#include "functors/complex.h"

#include "cpu/kernels.h"
#include "functors/arithmetic.h"
#include "functors/logical.h"

namespace atled::core {

namespace {

LoopTable copies() {
  LoopTable t;
  t[ATLED_BOOL] = ATLED_PICK(unary<bool, uint8_t, Truth>);
  return t.unary<Positive>(Unsigned{}).unary<Positive>(Floats{}).share_signed();
}

template <class F>
LoopTable part(LoopTable t) {
  t[ATLED_COMPLEX64] = ATLED_PICK(unary<float, std::complex<float>, F>);
  t[ATLED_COMPLEX128] = ATLED_PICK(unary<double, std::complex<double>, F>);
  return t;
}

const LoopTable conj_loops = copies().unary<Conj>(Complexes{});
const LoopTable real_loops = part<RealPart>(copies());
const LoopTable imag_loops = part<ImaginaryPart>(LoopTable());

// Reads complex numbers, writes real ones.
int run_part(void* table, atled_frame* frame) noexcept {
  return guard([&] {
    const atled_tensor* input = arg_tensor(frame, 0);
    const int dtype = compute_dtype(input->dtype);
    const LoopTable& loops = *static_cast<const LoopTable*>(table);
    Elementwise().output(out_tensor(frame), real_dtype(dtype)).input(input, dtype).run(find_loop(loops, dtype));
  });
}

void add_complex() {
  cpu_kernel("core::conj", run_same, conj_loops);
  cpu_kernel("core::real", run_part, real_loops);
  cpu_kernel("core::imag", run_part, imag_loops);
}
ATLED_KERNELS(add_complex);

}  // namespace

}  // namespace atled::core
