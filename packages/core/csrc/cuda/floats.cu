#include "cuda/complex_math.cuh"
#include "functors/floats.h"

namespace atled::core::cuda {

namespace {

// One output at a time. The exponent first: the mantissa may be written over the input.
struct FrexpExponent {
  template <class T>
  ATLED_FN int32_t operator()(T x) const {
    int32_t exponent;
    Frexp{}(x, &exponent);
    return exponent;
  }
};
struct FrexpMantissa {
  template <class T>
  ATLED_FN T operator()(T x) const {
    int32_t exponent;
    return Frexp{}(x, &exponent);
  }
};

template <class T>
void frexp_as(atled_frame* frame, int dtype) {
  const atled_tensor* input = arg_tensor(frame, 0);
  Elementwise exponent, mantissa;
  exponent.output(out_tensor(frame, 1), ATLED_INT32).input(input, dtype);
  exponent.run<int32_t, T>(FrexpExponent{});
  mantissa.output(out_tensor(frame, 0), dtype).input(input, dtype);
  mantissa.run<T, T>(FrexpMantissa{});
}

void frexp(atled_frame* frame) {
  const int dtype = compute_dtype(arg_tensor(frame, 0)->dtype);
  dtype == ATLED_FLOAT32 ? frexp_as<float>(frame, dtype) : frexp_as<double>(frame, dtype);
}

struct ComplexLdexp {
  ATLED_OUT_OF_LINE Complex operator()(Complex x, Complex n) const {
    if (n.imag() == 0) return {Ldexp{}(x.real(), n.real()), Ldexp{}(x.imag(), n.real())};
    return Mul{}(x, ComplexExp{}(0.69314718055994530942 * n));
  }
};

const LaunchTable ldexp_launches = LaunchTable().binary<Ldexp>(Floats{}).binary<OfComplex<ComplexLdexp>>(Complexes{});
const LaunchTable nextafter_launches =
    LaunchTable().binary<NextAfter>(Floats{}).binary<NextAfter>(Types<Half, BFloat16>{});

// In the dtype itself: float16's neighbours are not float32's.
void nextafter(atled_frame* frame) {
  const int dtype = promoted(frame);
  Elementwise e;
  e.output(out_tensor(frame), dtype).operand(frame->args[0], dtype).operand(frame->args[1], dtype);
  nextafter_launches[dtype](e, nullptr);
}

void add_floats() {
  cuda_kernel("core::frexp", kernel<frexp>);
  cuda_kernel("core::ldexp", run_float, &ldexp_launches);
  cuda_kernel("core::nextafter", kernel<nextafter>);
}
ATLED_CUDA_KERNELS(add_floats);

}  // namespace

}  // namespace atled::core::cuda
