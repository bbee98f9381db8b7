// Variance and logsumexp as reductions that read their input once: a block is read again while it is in the cache, and
// blocks are combined by formulas that do not cancel. Accumulators of m outputs are arrays of m numbers, one after
// another: the mean, the squared distances from it and the count; the largest element and the sum of exponentials.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/reduce.h"
#include "functors/double_math.h"
#include "functors/reduction.h"

namespace atled::core {

namespace moments {

struct Itself {
  template <class A>
  ATLED_FN A operator()(A x) const {
    return x;
  }
};
struct SquareFrom {
  double mean;
  ATLED_FN double operator()(double x) const { return (x - mean) * (x - mean); }
};
template <class A>
struct ExpFrom {
  A top;
  ATLED_FN A operator()(A x) const { return fmath::exp(x - top); }
};
// An infinite or NaN maximum shows in the exponentials themselves.
template <class A>
ATLED_FN A finite_or_zero(A x) {
  return x - x == A(0) ? x : A(0);
}

#define ATLED_LEVEL_BODY "cpu/moments.inl"
#include "cpu/each_level.inl"

}  // namespace moments

// Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
template <class T>
struct Variance {
  double divisor;
  bool root;

  static ReduceLoops loops() {
    return {3 * sizeof(double),
            ATLED_PICK_OF(moments, variance_row<Widened<T>>),
            ATLED_PICK_OF(moments, variance_columns<Widened<T>>),
            merge,
            finish,
            start,
            nullptr,
            false,
            widening<T>()};
  }

 private:
  static void merge(const void*, char* acc, const char* later, int64_t m) {
    double *mean = reinterpret_cast<double*>(acc), *squares = mean + m, *count = squares + m;
    const double *mean2 = reinterpret_cast<const double*>(later), *squares2 = mean2 + m, *count2 = squares2 + m;
    // All outputs have as many elements.
    const double a = count[0], b = count2[0], n = a + b;
    if (b == 0) return;
    const double weight = b / n, cross = a * weight;
    for (int64_t j = 0; j < m; ++j) {
      const double d = mean2[j] - mean[j];
      mean[j] += d * weight;
      squares[j] += squares2[j] + d * d * cross;
      count[j] = n;
    }
  }
  static void finish(const void* r, const char* acc, char* out, int64_t step, int64_t m) {
    const Variance& v = *static_cast<const Variance*>(r);
    const double* squares = reinterpret_cast<const double*>(acc) + m;
    for (int64_t j = 0; j < m; ++j) {
      const double x = squares[j] / v.divisor;
      *reinterpret_cast<T*>(out + j * step) = T(v.root ? std::sqrt(x) : x);
    }
  }
  static void start(const void*, char* acc, int64_t m) {
    std::memset(acc, 0, static_cast<size_t>(m) * 3 * sizeof(double));
  }
};

// log(sum(exp(x)))
template <class T>
struct LogSumExp {
  using A = OrderAcc<T>;

  static ReduceLoops loops() {
    return {2 * sizeof(A),
            ATLED_PICK_OF(moments, logsumexp_row<Widened<T>>),
            ATLED_PICK_OF(moments, logsumexp_columns<Widened<T>>),
            merge,
            finish,
            start,
            nullptr,
            false,
            widening<T>()};
  }

 private:
  static A scale(A top, A common) { return fmath::exp(moments::finite_or_zero(top) - moments::finite_or_zero(common)); }
  static void merge(const void*, char* acc, const char* later, int64_t m) {
    A *top = reinterpret_cast<A*>(acc), *sum = top + m;
    const A *top2 = reinterpret_cast<const A*>(later), *sum2 = top2 + m;
    for (int64_t j = 0; j < m; ++j) {
      const A common = Maximum{}(top[j], top2[j]);
      sum[j] = sum[j] * scale(top[j], common) + sum2[j] * scale(top2[j], common);
      top[j] = common;
    }
  }
  static void finish(const void*, const char* acc, char* out, int64_t step, int64_t m) {
    const A *top = reinterpret_cast<const A*>(acc), *sum = top + m;
    for (int64_t j = 0; j < m; ++j)
      *reinterpret_cast<T*>(out + j * step) = T(static_cast<A>(std::log(sum[j]) + moments::finite_or_zero(top[j])));
  }
  static void start(const void*, char* acc, int64_t m) {
    A *top = reinterpret_cast<A*>(acc), *sum = top + m;
    for (int64_t j = 0; j < m; ++j) {
      top[j] = -std::numeric_limits<A>::infinity();
      sum[j] = 0;
    }
  }
};

}  // namespace atled::core
