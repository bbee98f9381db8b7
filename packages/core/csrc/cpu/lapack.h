// LAPACK, as the bundled OpenBLAS has it: column-major, called by routine and element type.
#pragma once

#include <complex>
#include <string>
#include <type_traits>

#include "atled/plugin.hpp"
#include "cpu/blas.h"

namespace atled::core {

template <class T>
struct RealOf {
  using type = T;
};
template <class T>
struct RealOf<std::complex<T>> {
  using type = T;
};
template <class T>
using Real = typename RealOf<T>::type;
template <class T>
constexpr bool kIsComplex = !std::is_same_v<T, Real<T>>;

// Calls f with the Tag of float, double, std::complex<float> or std::complex<double>: what LAPACK computes in.
template <class F>
void visit_lapack(int dtype, F&& f) {
  switch (dtype) {
    case ATLED_FLOAT32:
      return f(Tag<float>{});
    case ATLED_FLOAT64:
      return f(Tag<double>{});
    case ATLED_COMPLEX64:
      return f(Tag<std::complex<float>>{});
    default:
      return f(Tag<std::complex<double>>{});
  }
}

// A routine for element type T: Routine<double>("getrf") is dgetrf; where the complex one has a name of its own it is
// given too: Routine<T>("syevd", "heevd"). NotImplementedOpError when this build has no LAPACK.
template <class T>
class Routine {
 public:
  explicit Routine(const char* real, const char* complex = nullptr) {
    const char prefix = std::is_same_v<T, float>                 ? 's'
                        : std::is_same_v<T, double>              ? 'd'
                        : std::is_same_v<T, std::complex<float>> ? 'c'
                                                                 : 'z';
    const std::string name = std::string("scipy_") + prefix + (kIsComplex<T> && complex ? complex : real) + "_";
    run_ = blas_symbol(name.c_str());
    if (!run_)
      fail(ATLED_E_NOT_IMPLEMENTED,
           "expected LAPACK, which this build of atled-core lacks (ATLED_OPENBLAS=OFF); install a wheel of atled-core "
           "that was built with it");
  }

  // Fortran's convention: everything by address, and behind the arguments the length of each string. No routine has
  // more than four; those too many are not looked at.
  template <class... A>
  void operator()(const A&... args) const {
    constexpr size_t one = 1;
    reinterpret_cast<void (*)(Address<A>..., size_t, size_t, size_t, size_t)>(run_)(address(args)..., one, one, one,
                                                                                    one);
  }

 private:
  template <class A>
  using Address = const void*;
  template <class A>
  static const void* address(const A& a) {
    if constexpr (std::is_pointer_v<A>) {
      return a;
    } else {
      return &a;
    }
  }

  void* run_;
};

}  // namespace atled::core
