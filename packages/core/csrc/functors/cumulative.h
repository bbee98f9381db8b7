// Running extremes and sums of exponentials.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "functors/moments.h"
#include "functors/out_of_line.h"

namespace atled::core {

// Whether x takes the place of the best so far: the last of equal ones does, and NaN beats everything.
template <class A>
ATLED_FN bool takes_over(bool largest, A x, A best) {
  if constexpr (std::is_floating_point_v<A>) {
    if (x != x) return true;
    if (best != best) return false;
  }
  return largest ? x >= best : x <= best;
}

template <class A>
struct RunningExtreme {
  using Acc = ExtremeAcc<A>;
  bool largest;
  ATLED_FN Acc identity() const { return {A(0), -1}; }
  ATLED_FN Acc combine(Acc a, Acc b) const {
    if (b.index < 0) return a;
    return a.index < 0 || takes_over(largest, b.value, a.value) ? b : a;
  }
};

// Few types to compare in, so that kernels are few.
template <class T>
using RunningOrder =
    std::conditional_t<std::is_same_v<T, double>, double,
                       std::conditional_t<std::is_integral_v<T>,
                                          std::conditional_t<std::is_same_v<T, uint64_t>, uint64_t, int64_t>, float>>;

template <class T>
struct RunningExtremeOf : RunningExtreme<RunningOrder<T>> {
  using Base = RunningExtreme<RunningOrder<T>>;
  using Acc = typename Base::Acc;
  using In = Stored<T>;
  using Out = Stored<T>;
  Out* out;
  int64_t* where;
  ATLED_FN Acc load(In x, int64_t i) const { return {static_cast<RunningOrder<T>>(x), i}; }
  ATLED_FN Out finish(Acc a) const { return Out(a.value); }
  ATLED_FN int64_t second(Acc a) const { return a.index; }
};

// log(sum(exp(x))) so far: the largest x, and the sum of exponentials relative to it, in double, so that errors do not
// grow along the way.
struct LogSum {
  double top = -std::numeric_limits<double>::infinity(), sum = 0;
  ATLED_FN void add(double x) {
    if (x <= top) {
      // Equal infinities have no difference.
      sum += x == top ? 1 : std::exp(x - top);
    } else if (x > top) {
      sum = sum * std::exp(top - x) + 1;
      top = x;
    } else if (x != x) {
      top = sum = x;
    }
  }
  ATLED_FN double value() const { return top + std::log(sum); }
};

struct RunningLogSum {
  using Acc = LogSum;
  ATLED_FN Acc identity() const { return LogSum(); }
  // Long, and called in many places.
  ATLED_OUT_OF_LINE Acc combine(Acc a, Acc b) const {
    if (b.sum == 0 || a.sum != a.sum) return a;
    if (a.sum == 0 || b.sum != b.sum) return b;
    const double d = a.top == b.top ? 1 : std::exp(-std::fabs(a.top - b.top));
    return a.top >= b.top ? make(a.top, a.sum + b.sum * d) : make(b.top, b.sum + a.sum * d);
  }

 protected:
  static ATLED_FN LogSum make(double top, double sum) {
    LogSum made;
    made.top = top;
    made.sum = sum;
    return made;
  }
};
template <class T>
struct RunningLogSumOf : RunningLogSum {
  using Base = RunningLogSum;
  using In = T;
  using Out = T;
  Out* out;
  ATLED_FN Acc load(In x, int64_t) const {
    const double y = Cast<double, T>{}(x);
    return make(y, y == y ? 1 : y);
  }
  ATLED_FN Out finish(Acc a) const { return Cast<T, double>{}(a.value()); }
};

}  // namespace atled::core
