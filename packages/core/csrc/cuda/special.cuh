// What kernels of special functions share: functions of double, which float's results are rounded from.
#pragma once

#include "cuda/elementwise.cuh"
#include "functors/out_of_line.h"

namespace atled::core::cuda {

// F is a functor of doubles; for the device, where a function's address is no constant.
template <class F>
struct OfDouble {
  template <class... T>
  ATLED_FN auto operator()(T... x) const {
    using R = std::common_type_t<T...>;
    return static_cast<R>(F{}(static_cast<double>(x)...));
  }
};

template <class F>
inline const LaunchTable of_double = LaunchTable().unary<OfDouble<F>>(Floats{});
template <class F>
inline const LaunchTable of_doubles = LaunchTable().binary<OfDouble<F>>(Floats{});

}  // namespace atled::core::cuda

// Kernels of every layout and dtype call these functions.
#define ATLED_OF_DOUBLE(Name, call)                                      \
  struct Name {                                                          \
    ATLED_OUT_OF_LINE double operator()(double x) const { return call; } \
  }
#define ATLED_OF_DOUBLES(Name, call)                                               \
  struct Name {                                                                    \
    ATLED_OUT_OF_LINE double operator()(double x, double y) const { return call; } \
  }
