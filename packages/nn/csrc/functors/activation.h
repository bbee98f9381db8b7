// Activations and their slopes, as scalar functions.
#pragma once

#include "atled/plugin.hpp"
#include "functors/math.h"

namespace atled::nn {

// Each functor is made from a frame; `at` is the position of its first parameter.

template <class T>
struct Elu {
  T low, high, inner;
  Elu(const atled_frame* f, int at)
      : low(static_cast<T>(arg_double(f, at) * arg_double(f, at + 1))),
        high(static_cast<T>(arg_double(f, at + 1))),
        inner(static_cast<T>(arg_double(f, at + 2))) {}
  ATLED_INLINE T value(T x) const {
    const T y = low * exponential_minus_one(x > 0 ? T(0) : inner * x);
    return x > 0 ? high * x : y;
  }
  ATLED_INLINE T slope(T x) const { return x > 0 ? high : low * inner * exponential(inner * x); }
};

template <class T>
struct Gelu {
  Gelu(const atled_frame*, int) {}
  ATLED_INLINE T value(T x) const { return x * normal_cdf(x); }
  ATLED_INLINE T slope(T x) const { return normal_cdf(x) + x * normal_density(x); }
};

// 0.5 x (1 + tanh(u)) = x sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3).
template <class T>
struct GeluTanh {
  GeluTanh(const atled_frame*, int) {}
  static constexpr T kScale = T(1.5957691216057307117), kCube = T(0.044715);
  ATLED_INLINE T value(T x) const { return x * sigmoid(kScale * (x + kCube * x * x * x)); }
  ATLED_INLINE T slope(T x) const {
    const T s = sigmoid(kScale * (x + kCube * x * x * x));
    return s + x * s * (T(1) - s) * kScale * (T(1) + T(3) * kCube * x * x);
  }
};

template <class T>
struct Hardshrink {
  T bound;
  Hardshrink(const atled_frame* f, int at) : bound(static_cast<T>(arg_double(f, at))) {}
  ATLED_INLINE bool near_zero(T x) const { return (x >= -bound) & (x <= bound); }
  ATLED_INLINE T value(T x) const { return near_zero(x) ? T(0) : x; }
  ATLED_INLINE T slope(T x) const { return near_zero(x) ? T(0) : T(1); }
};

template <class T>
struct Softshrink {
  T bound;
  Softshrink(const atled_frame* f, int at) : bound(static_cast<T>(arg_double(f, at))) {}
  ATLED_INLINE T value(T x) const { return x > bound ? x - bound : x < -bound ? x + bound : x - x; }
  ATLED_INLINE T slope(T x) const { return ((x >= -bound) & (x <= bound)) ? T(0) : T(1); }
};

// At the bounds themselves the slope is 0, as relu's is at 0.
template <class T>
struct Hardtanh {
  T low, high;
  Hardtanh(const atled_frame* f, int at)
      : low(static_cast<T>(arg_double(f, at))), high(static_cast<T>(arg_double(f, at + 1))) {}
  ATLED_INLINE T value(T x) const { return x < low ? low : x > high ? high : x; }
  ATLED_INLINE T slope(T x) const { return x <= low || x >= high ? T(0) : T(1); }
};

template <class T>
struct Hardsigmoid {
  Hardsigmoid(const atled_frame*, int) {}
  ATLED_INLINE T value(T x) const {
    const T y = (x + T(3)) / T(6);
    return y < 0 ? T(0) : y > 1 ? T(1) : y;
  }
  ATLED_INLINE T slope(T x) const { return x <= T(-3) || x >= T(3) ? T(0) : T(1) / T(6); }
};

template <class T>
struct Hardswish {
  Hardswish(const atled_frame*, int) {}
  ATLED_INLINE T value(T x) const {
    const T y = x * (x + T(3)) / T(6);
    return x <= T(-3) ? T(0) : x >= T(3) ? x : y;
  }
  ATLED_INLINE T slope(T x) const {
    const T y = x / T(3) + T(0.5);
    return x <= T(-3) ? T(0) : x >= T(3) ? T(1) : y;
  }
};

template <class T>
struct LeakyRelu {
  T low;
  LeakyRelu(const atled_frame* f, int at) : low(static_cast<T>(arg_double(f, at))) {}
  ATLED_INLINE T value(T x) const { return x > 0 ? x : low * x; }
  ATLED_INLINE T slope(T x) const { return x > 0 ? T(1) : low; }
};

template <class T>
struct Logsigmoid {
  Logsigmoid(const atled_frame*, int) {}
  ATLED_INLINE T value(T x) const {
    const T size = x < 0 ? -x : x;
    return (x < 0 ? x : T(0)) - log_one_plus(exponential(-size));
  }
  ATLED_INLINE T slope(T x) const { return sigmoid(-x); }
};

// x tanh(log(1 + e)) = x n / (n + 2) with e = exp(x) and n = e (e + 2); beyond 40 the ratio is 1.
template <class T>
struct Mish {
  Mish(const atled_frame*, int) {}
  ATLED_INLINE T value(T x) const {
    const T e = exponential(x < T(40) ? x : T(40)), n = e * (e + T(2)), y = x * (n / (n + T(2)));
    return x != x ? x : y;
  }
  ATLED_INLINE T slope(T x) const {
    const T e = exponential(x < T(40) ? x : T(40)), n = e * (e + T(2)), share = T(1) / (n + T(2));
    const T y = n * share + (x < T(1000) ? x : T(1000)) * (T(4) * e * share * (T(1) + e) * share);
    return x != x ? x : y;
  }
};

template <class T>
struct Silu {
  Silu(const atled_frame*, int) {}
  ATLED_INLINE T value(T x) const { return x * sigmoid(x); }
  ATLED_INLINE T slope(T x) const {
    const T s = sigmoid(x);
    return s * (T(1) + x * (T(1) - s));
  }
};

template <class T>
struct Softplus {
  T beta, threshold;
  Softplus(const atled_frame* f, int at)
      : beta(static_cast<T>(arg_double(f, at))), threshold(static_cast<T>(arg_double(f, at + 1))) {}
  ATLED_INLINE T value(T x) const {
    const T z = beta * x, soft = ((z > 0 ? z : T(0)) + log_one_plus(exponential(z > 0 ? -z : z))) / beta;
    return z > threshold ? x : soft;
  }
  ATLED_INLINE T slope(T x) const { return beta * x > threshold ? T(1) : sigmoid(beta * x); }
};

}  // namespace atled::nn
