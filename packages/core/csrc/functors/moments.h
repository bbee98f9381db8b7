// Variance and logsumexp as functors that combine what parts of the elements gave, without cancelling: what
// cuda/reduce.cuh asks of a reduction.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "functors/explog.h"
#include "functors/reduction.h"

namespace atled::core {

// `squares`: the sum of squares of differences from the mean.
struct MomentsAcc {
  double mean, squares, count;
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

  class Lane {
   public:
    ATLED_FN explicit Lane(const VarianceOf&) {}
    template <uint32_t V>
    ATLED_FN void add(const VarianceOf&, const T (&x)[V], int64_t) {
      if (count_ == 0) shift_ = static_cast<double>(x[0]);
      for (uint32_t v = 0; v < V; ++v) {
        const double d = static_cast<double>(x[v]) - shift_;
        sum_ += d;
        squares_ = std::fma(d, d, squares_);
      }
      count_ += V;
    }
    ATLED_FN Acc result() const {
      if (count_ == 0) return {0, 0, 0};
      const double offset = sum_ / count_;
      // Squares of finite differences may overflow: to infinity, not to NaN.
      const bool overflown = squares_ - squares_ != 0 && sum_ - sum_ == 0;
      return {shift_ + offset, overflown ? squares_ : squares_ - sum_ * offset, count_};
    }

   private:
    double shift_ = 0, sum_ = 0, squares_ = 0, count_ = 0;
  };

  ATLED_FN Acc identity() const { return {0, 0, 0}; }
  ATLED_FN Acc combine(Acc a, Acc b) const {
    if (b.count == 0) return a;
    if (a.count == 0) return b;
    const double n = a.count + b.count, weight = b.count / n, d = b.mean - a.mean;
    return {a.mean + d * weight, a.squares + b.squares + d * d * (a.count * weight), n};
  }
  ATLED_FN Out finish(Acc a) const {
    const double x = a.squares / divisor;
    return Cast<Out, double>{}(root ? std::sqrt(x) : x);
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

  struct Lane {
    Acc acc{-std::numeric_limits<A>::infinity(), A(0)};
    ATLED_FN explicit Lane(const LogSumExpOf&) {}
    template <uint32_t V>
    ATLED_FN void add(const LogSumExpOf&, const T (&x)[V], int64_t) {
      A top = acc.top;
      for (uint32_t v = 0; v < V; ++v) top = Maximum{}(top, static_cast<A>(x[v]));
      A sum = scaled(acc, top);
      for (uint32_t v = 0; v < V; ++v) sum += Exp{}(static_cast<A>(x[v]) - finite_or_zero(top));
      acc = {top, sum};
    }
    ATLED_FN Acc result() const { return acc; }
  };

  ATLED_FN Acc identity() const { return {-std::numeric_limits<A>::infinity(), A(0)}; }
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

  // Of elements in the order of their indices, the earlier wins unless it is beaten.
  struct Lane {
    Acc best{A(0), -1};
    ATLED_FN explicit Lane(const ExtremeOf&) {}
    template <uint32_t V>
    ATLED_FN void add(const ExtremeOf&, const In (&x)[V], int64_t i) {
      const Acc found = best_of<V>(x, i);
      if ((best.index < 0) | E::beats(found.value, best.value)) best = found;
    }
    ATLED_FN Acc result() const { return best; }

   private:
    template <uint32_t V>
    static ATLED_FN Acc best_of(const In* x, int64_t i) {
      if constexpr (V == 1) {
        return {static_cast<A>(x[0]), i};
      } else {
        const Acc a = best_of<V / 2>(x, i), b = best_of<V / 2>(x + V / 2, i + V / 2);
        return E::beats(b.value, a.value) ? b : a;
      }
    }
  };

  ATLED_FN Acc identity() const { return {A(0), -1}; }
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
