// What floating numbers are made of: mantissa and exponent, and their neighbours.
#pragma once

#include <cmath>
#include <complex>

#include "functors/copy.h"
#include "functors/float_math.h"

namespace atled::core {

// x * 2^n. A fraction of n goes into x first, so that the result alone decides whether it over- or underflows.
struct Ldexp {
  template <class T>
  ATLED_FN T operator()(T x, T n) const {
    const T whole = std::floor(n);
    if (!(std::fabs(n) <= T(1e6))) return x == T(0) && n == n ? x : x * std::exp2(n);
    return std::scalbn(n == whole ? x : x * std::exp2(n - whole), static_cast<int>(whole));
  }
  template <class T>
  ATLED_FN std::complex<T> operator()(std::complex<T> x, std::complex<T> n) const {
    if (n.imag() == 0) return {(*this)(x.real(), n.real()), (*this)(x.imag(), n.real())};
    return x * std::exp(n * T(0.69314718055994530942));
  }
};

// The same of floats, with 2^n in double: only the result rounds where n is whole.
struct QuickLdexp {
  static ATLED_FN bool fast(float, float n) { return std::fabs(n) <= 300.0f; }
  static ATLED_FN float slow(float x, float n) { return Ldexp{}(x, n); }
  ATLED_FN float operator()(float x, float n) const {
    const int32_t whole = static_cast<int32_t>(n);
    const double rest = static_cast<double>(n) - whole, part = fmath::double_exp2(rest);
    const uint64_t bits = static_cast<uint64_t>(static_cast<int64_t>(whole + 1023)) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return static_cast<float>(static_cast<double>(x) * (rest == 0.0 ? 1.0 : part) * scale);
  }
};

struct NextAfter {
  // By the bits, whose order is the order of sizes.
  template <class Bits, class Number>
  static ATLED_FN Bits step(Bits bits, Bits sign, Bits target, Number a, Number b) {
    const Bits near = static_cast<Bits>((target & sign) | Bits(1));
    const Bits moved = static_cast<Bits>((a < b) == (a > Number(0)) ? bits + Bits(1) : bits - Bits(1));
    return a == b ? target : a == Number(0) ? near : moved;
  }
  template <class T>
  ATLED_FN T operator()(T from, T to) const {
    if constexpr (is_small_float<T>) {
      const float a = from, b = to;
      if (a != a || b != b) return T(a + b);
      T result = from;
      result.bits = step<uint16_t>(from.bits, uint16_t{0x8000}, to.bits, a, b);
      return result;
    } else {
      using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
      Bits bits, target;
      memcpy(&bits, &from, sizeof bits);
      memcpy(&target, &to, sizeof target);
      bits = step<Bits>(bits, Bits(Bits(1) << (8 * sizeof(T) - 1)), target, from, to);
      T result;
      memcpy(&result, &bits, sizeof result);
      return from != from || to != to ? from + to : result;
    }
  }
};

// x = mantissa * 2^exponent with |mantissa| in [0.5, 1); zeros, infinities and NaN have exponent 0.
struct Frexp {
  template <class T>
  ATLED_FN T operator()(T x, int32_t* exponent) const {
    int e = 0;
    const T mantissa = x - x == T(0) ? std::frexp(x, &e) : x;
    *exponent = e;
    return mantissa;
  }
};

}  // namespace atled::core
