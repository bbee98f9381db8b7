// What a coordinate's difference adds to a distance, how sums meet, and what the distance is.
#pragma once

#include <cmath>
#include <limits>

#include "functors/float_math.h"

namespace atled::core {

struct CountApart {
  template <class A>
  ATLED_FN A add(A sum, A d) const {
    return sum + (d != A(0));
  }
  template <class A>
  ATLED_FN A join(A a, A b) const {
    return a + b;
  }
  template <class A>
  ATLED_FN A finish(A sum) const {
    return sum;
  }
};
struct Manhattan : CountApart {
  template <class A>
  ATLED_FN A add(A sum, A d) const {
    return sum + std::fabs(d);
  }
};
struct Euclid : CountApart {
  template <class A>
  ATLED_FN A add(A sum, A d) const {
    return sum + d * d;
  }
  template <class A>
  ATLED_FN A finish(A sum) const {
    return std::sqrt(sum);
  }
};
struct PowerOf : CountApart {
  double p;
  explicit PowerOf(double p) : p(p) {}
  ATLED_FN float add(float sum, float d) const {
    const float size = std::fabs(d);
    // What vector code cannot do, and NaN.
    const bool plain = size > 0 && size < std::numeric_limits<float>::infinity();
    const float power = fmath::positive_pow(plain ? size : 1.0f, static_cast<float>(p));
    return sum + (plain ? power : size);
  }
  ATLED_FN double add(double sum, double d) const { return sum + std::pow(std::fabs(d), p); }
  template <class A>
  ATLED_FN A finish(A sum) const {
    return static_cast<A>(std::pow(static_cast<double>(sum), 1 / p));
  }
};
struct Chebyshev : CountApart {
  template <class A>
  ATLED_FN A add(A most, A d) const {
    return join(most, static_cast<A>(std::fabs(d)));
  }
  template <class A>
  ATLED_FN A join(A a, A b) const {
    return ((b > a) | (b != b)) ? b : a;
  }
};

// Calls f with the metric of a p-norm.
template <class F>
void visit_metric(double p, F&& f) {
  if (p == 0) return f(CountApart{});
  if (p == 1) return f(Manhattan{});
  if (p == 2) return f(Euclid{});
  if (p == std::numeric_limits<double>::infinity()) return f(Chebyshev{});
  f(PowerOf{p});
}

}  // namespace atled::core
