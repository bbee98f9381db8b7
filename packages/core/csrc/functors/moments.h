// Variance and logsumexp as functors that combine what parts of the elements gave, without cancelling: what
// cuda/reduce.cuh asks of a reduction.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "functors/explog.h"
#include "functors/reduction.h"

namespace atled::core {

// Sums of differences from a shift and of their squares.
struct MomentsAcc {
  double shift, sum, squares, count;
};

// A lane adds elements as differences from its first, which needs no division, and of which at most its count times the
// result cancels. Lanes are combined about their means: Chan, Golub and LeVeque, "Updating formulae and a pairwise
// algorithm for computing sample variances", 1979.
template <class T>
struct VarianceOf {
  using In = T;
  using Acc = MomentsAcc;
  using Out = T;
  double divisor;
  bool root;
  ATLED_FN Acc identity() const { return {0, 0, 0, 0}; }
  ATLED_FN Acc load(In x) const { return {static_cast<double>(x), 0, 0, 1}; }
  ATLED_FN Acc combine(Acc a, Acc b) const {
    if (b.count == 0) return a;
    if (a.count == 0) return b;
    const double n = a.count + b.count;
    if (b.count == 1) {
      const double d = b.shift - a.shift;
      return {a.shift, a.sum + d, a.squares + d * d, n};
    }
    a = centred(a);
    b = centred(b);
    const double weight = b.count / n, d = b.shift - a.shift;
    return {a.shift + d * weight, 0, a.squares + b.squares + d * d * (a.count * weight), n};
  }
  ATLED_FN Out finish(Acc a) const {
    const double x = centred(a).squares / divisor;
    return Cast<Out, double>{}(root ? std::sqrt(x) : x);
  }

 private:
  static ATLED_FN Acc centred(Acc a) {
    if (a.count == 0) return a;
    const double offset = a.sum / a.count;
    // Squares of finite differences may overflow: to infinity, not to NaN.
    const bool overflown = a.squares - a.squares != 0 && a.sum - a.sum == 0;
    return {a.shift + offset, 0, overflown ? a.squares : a.squares - a.sum * offset, a.count};
  }
};

template <class A>
struct LogSumExpAcc {
  A top, sum;
};

// log(sum(exp(x))), each part relative to its own largest element.
template <class T>
struct LogSumExpOf {
  using In = T;
  using A = OrderAcc<T>;
  using Acc = LogSumExpAcc<A>;
  using Out = T;
  ATLED_FN Acc identity() const { return {-std::numeric_limits<A>::infinity(), A(0)}; }
  ATLED_FN Acc load(In x) const {
    const A a = static_cast<A>(x);
    return {a, Exp{}(a - finite_or_zero(a))};
  }
  ATLED_FN Acc combine(Acc a, Acc b) const {
    const A common = Maximum{}(a.top, b.top);
    return {common, scaled(a, common) + scaled(b, common)};
  }
  ATLED_FN Out finish(Acc a) const { return Out(static_cast<A>(std::log(a.sum) + finite_or_zero(a.top))); }

 private:
  // An infinite or NaN maximum shows in the exponentials themselves.
  static ATLED_FN A finite_or_zero(A x) { return x - x == A(0) ? x : A(0); }
  // An empty part has the sum 0; what it is scaled by must not make NaN of it.
  static ATLED_FN A scaled(Acc a, A common) {
    return a.sum == A(0) ? A(0) : a.sum * Exp{}(finite_or_zero(a.top) - finite_or_zero(common));
  }
};

// The best element and where it is: the first of those that are as good. A NaN is better than everything.
template <class A>
struct ExtremeAcc {
  A value;
  int64_t index;  // -1: none yet
};
template <class E>
struct ExtremeOf {
  using In = typename E::In;
  using A = typename E::Acc;
  using Acc = ExtremeAcc<A>;
  using Out = int64_t;
  static constexpr bool kIndexed = true;
  ATLED_FN Acc identity() const { return {A(0), -1}; }
  ATLED_FN Acc load_at(In x, int64_t i) const { return {static_cast<A>(x), i}; }
  ATLED_FN Acc combine(Acc a, Acc b) const {
    if (b.index < 0) return a;
    if (a.index < 0) return b;
    if (E::beats(b.value, a.value)) return b;
    if (E::beats(a.value, b.value)) return a;
    return b.index < a.index ? b : a;
  }
  ATLED_FN Out finish(Acc a) const { return a.index; }
};

}  // namespace atled::core
