#include "functors/floats.h"

#include "cpu/kernels.h"

namespace atled::core {

namespace {

template <class T>
void frexp_loop(void*, char* const* data, const int64_t* strides, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    *reinterpret_cast<T*>(data[0] + i * strides[0]) = Frexp{}(*reinterpret_cast<const T*>(data[2] + i * strides[2]),
                                                              reinterpret_cast<int32_t*>(data[1] + i * strides[1]));
}

void frexp(atled_frame* frame) {
  const atled_tensor* input = arg_tensor(frame, 0);
  const int dtype = compute_dtype(input->dtype);
  Elementwise e;
  e.output(out_tensor(frame, 0), dtype).output(out_tensor(frame, 1), ATLED_INT32).input(input, dtype);
  e.run(dtype == ATLED_FLOAT32 ? frexp_loop<float> : frexp_loop<double>);
}

const LoopTable ldexp_loops = [] {
  LoopTable t;
  t[ATLED_FLOAT32] = ATLED_PICK(binary_checked<float, QuickLdexp>);
  return t.binary_plain<Ldexp>(Types<double>{}).binary_plain<Ldexp>(Complexes{});
}();
const LoopTable nextafter_loops =
    LoopTable().binary<NextAfter>(Floats{}).binary_plain<NextAfter>(Types<Half, BFloat16>{});

// In the dtype itself: float16's neighbours are not float32's.
void nextafter(atled_frame* frame) {
  const int dtype = promoted(frame);
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  e.run(nextafter_loops[dtype]);
}

void add_floats() {
  cpu_kernel("core::frexp", kernel<frexp>);
  cpu_kernel("core::ldexp", run_float, ldexp_loops);
  fused_kernel("core::nextafter", kernel<nextafter>);
}
ATLED_KERNELS(add_floats);

}  // namespace

}  // namespace atled::core
