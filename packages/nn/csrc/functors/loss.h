// Losses of pairs (x, y) of an input and its target, and their slopes in x.
#pragma once

#include <cstring>

#include "atled/plugin.hpp"
#include "functors/math.h"

namespace atled::nn {

template <class A>
struct SquaredError {
  ATLED_INLINE A value(A x, A y) const { return (x - y) * (x - y); }
  ATLED_INLINE A slope(A x, A y) const { return A(2) * (x - y); }
};

template <class A>
struct AbsoluteError {
  ATLED_INLINE A value(A x, A y) const { return x < y ? y - x : x - y; }
  ATLED_INLINE A slope(A x, A y) const {
    const A d = x - y;
    return d > 0 ? A(1) : d < 0 ? A(-1) : d;
  }
};

// d^2 / 2 where d = |x - y| < bound, else bound (d - bound / 2); divided by `share`.
template <class A>
struct HuberError {
  A bound, share;
  ATLED_INLINE A value(A x, A y) const {
    const A d = x < y ? y - x : x - y, m = d < bound ? d : bound;
    return m * (d - A(0.5) * m) / share;
  }
  ATLED_INLINE A slope(A x, A y) const {
    const A d = x - y;
    return (d < -bound ? -bound : d > bound ? bound : d) / share;
  }
};

// Of a logit x: -log(sigmoid(x)) and -log(1 - sigmoid(x)) in the shares y and 1 - y.
template <class A>
struct LogitCrossEntropy {
  ATLED_INLINE A value(A x, A y) const {
    const A size = x < 0 ? -x : x;
    return (A(1) - y) * x + ((x < 0 ? size : A(0)) + log_one_plus(exponential(-size)));
  }
  ATLED_INLINE A slope(A x, A y) const { return sigmoid(x) - y; }
};

// The same of a probability x. Logarithms count as at least -100; `least` is what the slope's divisor is bounded by.
template <class A>
struct CrossEntropy {
  A least;
  ATLED_INLINE A value(A x, A y) const {
    const A yes = logarithm(x), no = log_one_minus(x);
    return (y - A(1)) * (no < A(-100) ? A(-100) : no) - y * (yes < A(-100) ? A(-100) : yes);
  }
  ATLED_INLINE A slope(A x, A y) const {
    const A variance = x * (A(1) - x);
    return (x - y) / (variance < least ? least : variance);
  }
};

// y (log(y) - x), of a log-probability x.
template <class A>
struct Divergence {
  ATLED_INLINE A value(A x, A y) const {
    const A own = y * logarithm(y);
    return (y == 0 ? A(0) : own) - y * x;
  }
  ATLED_INLINE A slope(A, A y) const { return -y; }
};

// The same where y, too, is a logarithm.
template <class A>
struct LogDivergence {
  ATLED_INLINE A value(A x, A y) const { return exponential(y) * (y - x); }
  ATLED_INLINE A slope(A, A y) const { return -exponential(y); }
};

// Calls run with the functor of a kind and what it is bounded by: an op's arguments at `at` and two places on.
template <class A, class Run>
void visit_loss(const atled_frame* frame, int at, Run&& run) {
  const char* kind = frame->args[at].u.str;
  const A bound = static_cast<A>(arg_double(frame, at + 2));
  auto is = [kind](const char* name) { return strcmp(kind, name) == 0; };
  if (is("l1")) return run(AbsoluteError<A>{});
  if (is("huber")) return run(HuberError<A>{bound, A(1)});
  if (is("smooth_l1")) return run(HuberError<A>{bound, bound});
  if (is("bce_with_logits")) return run(LogitCrossEntropy<A>{});
  if (is("bce")) return run(CrossEntropy<A>{bound});
  if (is("kl_div")) return run(Divergence<A>{});
  if (is("kl_div_of_logs")) return run(LogDivergence<A>{});
  fail(ATLED_E_VALUE,
       "expected kind to be 'l1', 'huber', 'smooth_l1', 'bce_with_logits', 'bce', 'kl_div' or 'kl_div_of_logs', got "
       "'%s'",
       kind);
}

}  // namespace atled::nn
