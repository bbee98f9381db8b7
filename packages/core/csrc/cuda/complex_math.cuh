// Functions of complex numbers, in double: the functions that CUDA's library has of them (from FreeBSD's msun), where
// C's Annex G says what infinities and NaN become. complex64's results are rounded once.
//
// They are long: a kernel for each function takes both dtypes, side by side in memory.
#pragma once

#include <thrust/complex.h>

#include "cuda/generate.cuh"
#include "cuda/reduce.cuh"
#include "functors/arithmetic.h"
#include "functors/out_of_line.h"

namespace atled::core::cuda {

using Complex = std::complex<double>;

__host__ __device__ inline thrust::complex<double> to_library(Complex z) { return {z.real(), z.imag()}; }
__host__ __device__ inline Complex from_library(thrust::complex<double> z) { return {z.real(), z.imag()}; }

// F is a functor of Complex.
template <class F>
struct OfComplex {
  template <class T, class... A>
  ATLED_FN std::complex<T> operator()(std::complex<T> x, A... more) const {
    const Complex y = F{}(Complex(x.real(), x.imag()), Complex(more.real(), more.imag())...);
    return {static_cast<T>(y.real()), static_cast<T>(y.imag())};
  }
};

struct ComplexDivide {
  // C's Annex G.5.1. Powers of 2 keep the divisor's square in range.
  ATLED_OUT_OF_LINE Complex operator()(Complex z, Complex w) const {
    double a = z.real(), b = z.imag(), c = w.real(), d = w.imag();
    const double most = std::fmax(std::fabs(c), std::fabs(d));
    int scale = 0;
    if (most > 0 && most - most == 0) {
      scale = std::ilogb(most);
      c = std::scalbn(c, -scale);
      d = std::scalbn(d, -scale);
    }
    const double size = c * c + d * d;
    double x = std::scalbn((a * c + b * d) / size, -scale), y = std::scalbn((b * c - a * d) / size, -scale);
    if (x != x && y != y) {
      constexpr double kInfinity = std::numeric_limits<double>::infinity();
      if (size == 0 && (a == a || b == b)) {
        x = std::copysign(kInfinity, c) * a;
        y = std::copysign(kInfinity, c) * b;
      } else if ((infinite(a) || infinite(b)) && finite(c) && finite(d)) {
        a = std::copysign(infinite(a) ? 1.0 : 0.0, a);
        b = std::copysign(infinite(b) ? 1.0 : 0.0, b);
        x = kInfinity * (a * c + b * d);
        y = kInfinity * (b * c - a * d);
      } else if (infinite(most) && finite(a) && finite(b)) {
        c = std::copysign(infinite(c) ? 1.0 : 0.0, c);
        d = std::copysign(infinite(d) ? 1.0 : 0.0, d);
        x = 0.0 * (a * c + b * d);
        y = 0.0 * (b * c - a * d);
      }
    }
    return {x, y};
  }

 private:
  static ATLED_FN bool finite(double x) { return x - x == 0; }
  static ATLED_FN bool infinite(double x) { return x == x && x - x != 0; }
};

#define ATLED_OF_COMPLEX(Name, ...)                                        \
  struct Name {                                                            \
    ATLED_OUT_OF_LINE Complex operator()(Complex z) const { __VA_ARGS__; } \
  }
#define ATLED_COMPLEX_LIBRARY(Name, function) \
  ATLED_OF_COMPLEX(Name, return from_library(thrust::function(to_library(z))))

ATLED_COMPLEX_LIBRARY(ComplexExp, exp);
ATLED_COMPLEX_LIBRARY(ComplexSqrt, sqrt);

struct ComplexLog {
  ATLED_OUT_OF_LINE Complex operator()(Complex z) const {
    const Complex y = from_library(thrust::log(to_library(z)));
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const bool infinite = std::fabs(z.real()) == kInfinity || std::fabs(z.imag()) == kInfinity;
    return {infinite ? kInfinity : y.real(), y.imag()};
  }
};

template <class F>
__global__ void __launch_bounds__(kThreads) complex_kernel(void* out, const void* in, int64_t n, bool wide) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    Complex z;
    if (wide) {
      z = static_cast<const Complex*>(in)[i];
    } else {
      const auto x = static_cast<const std::complex<float>*>(in)[i];
      z = Complex(x.real(), x.imag());
    }
    z = F{}(z);
    if (wide)
      static_cast<Complex*>(out)[i] = z;
    else
      static_cast<std::complex<float>*>(out)[i] = {static_cast<float>(z.real()), static_cast<float>(z.imag())};
  }
}

using ComplexKernel = void (*)(void*, const void*, int64_t, bool);
inline void run_complex(const atled_frame* frame, ComplexKernel kernel) {
  into_contiguous(out_tensor(frame), [&](atled_tensor* out) {
    const Tensor input = contiguous(arg_tensor(frame, 0), out->dtype);
    const int64_t n = numel(out);
    const int index = out->dl.device.device_id;
    DeviceGuard device(index);
    if (n > 0)
      launch(kernel, blocks_for(n, kThreads), kThreads, current_stream(index), out->dl.data,
             static_cast<const void*>(input->dl.data), n, out->dtype == ATLED_COMPLEX128);
  });
}

// Real numbers by the table, complex ones by F.
template <class F>
int run_float_or_complex(void* table, atled_frame* frame) noexcept {
  if (!is_complex(arg_tensor(frame, 0)->dtype)) return run_float(table, frame);
  return guard([&] { run_complex(frame, complex_kernel<F>); });
}

}  // namespace atled::core::cuda
