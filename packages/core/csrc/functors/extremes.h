// Which of two elements wins; a NaN wins over everything, the first of them over the rest.
#pragma once

#include "functors/reduction.h"

namespace atled::core {

template <class T, bool kLargest>
struct Extreme {
  using In = Stored<T>;
  using Acc = OrderAcc<T>;
  static ATLED_FN Acc better(Acc a, Acc b) {
    if constexpr (kLargest)
      return Maximum{}(a, b);
    else
      return Minimum{}(a, b);
  }
  static ATLED_FN bool beats(Acc x, Acc best) {
    const bool ahead = kLargest ? x > best : x < best;
    return ahead | ((x != x) & (best == best));
  }
};

}  // namespace atled::core
