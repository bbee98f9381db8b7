// Arithmetic of std::complex in device code. libstdc++'s own compiles there, since it is constexpr in C++20, but nvcc
// drops what it computes by the compiler's _Complex: a + b was a. Device code is compiled as C++17, where calling it is
// an error, and finds these. Its conversions between float and double are not errors, but ci/device_complex.py finds
// them; Cast converts part by part.
#pragma once

#include <complex>

#include "functors/inline.h"

#if defined(__CUDACC__)
namespace atled::core {

// Functions, not templates, so that they are chosen before the library's templates.
#define ATLED_COMPLEX_OPERATORS(T)                                                                    \
  ATLED_FN std::complex<T> operator-(std::complex<T> a) { return {-a.real(), -a.imag()}; }            \
  ATLED_FN std::complex<T> operator+(std::complex<T> a, std::complex<T> b) {                          \
    return {a.real() + b.real(), a.imag() + b.imag()};                                                \
  }                                                                                                   \
  ATLED_FN std::complex<T> operator-(std::complex<T> a, std::complex<T> b) {                          \
    return {a.real() - b.real(), a.imag() - b.imag()};                                                \
  }                                                                                                   \
  ATLED_FN std::complex<T> operator+(T a, std::complex<T> b) { return {a + b.real(), b.imag()}; }     \
  ATLED_FN std::complex<T> operator-(std::complex<T> a, T b) { return {a.real() - b, a.imag()}; }     \
  ATLED_FN std::complex<T> operator*(std::complex<T> a, T b) { return {a.real() * b, a.imag() * b}; } \
  ATLED_FN std::complex<T> operator*(T a, std::complex<T> b) { return b * a; }                        \
  ATLED_FN std::complex<T> operator/(std::complex<T> a, T b) { return {a.real() / b, a.imag() / b}; }
ATLED_COMPLEX_OPERATORS(float)
ATLED_COMPLEX_OPERATORS(double)
#undef ATLED_COMPLEX_OPERATORS

}  // namespace atled::core
#endif
