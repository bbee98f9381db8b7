// The arithmetic of softmax that keeps all digits of wide ranges.
#pragma once

#include <limits>
#include <type_traits>

#include "functors/copy.h"
#include "functors/explog.h"
#include "functors/float_math.h"

namespace atled::core {

// Exp of numbers that are at most 0, or NaN. Float's is exp to the bit, in fewer steps: 2^64 times the result is a
// normal number, which the last product rounds.
struct ExpOfNegative {
  template <class T>
  ATLED_FN T operator()(T x) const {
    if constexpr (!std::is_same_v<T, float>) {
      return Exp{}(x);
    } else {
      x = x < -104.0f ? -104.0f : x;
      const float shifted = x * fmath::kLog2e + fmath::kRound, n = shifted - fmath::kRound;
      const float p = fmath::exp_near_zero((x - n * fmath::kLn2High) - n * fmath::kLn2Low);
      const float scale = bits_to_float((float_to_bits(shifted) << 23) + (uint32_t{64 + 127} << 23));
      return p * scale * 0x1p-64f;
    }
  }
};

// exp(x - top), with what the difference loses by rounding put back: that is an error of the result's own size. Narrow
// floats, in which the result is rounded more coarsely, go without. X is T, or Acc where T's numbers are held so.
template <class T, class Acc, class Exp, class X>
ATLED_FN Acc exp_below(X x, Acc top) {
  const Acc a = static_cast<Acc>(x), d = a - top, y = Exp{}(d);
  if constexpr (!std::is_same_v<T, Acc>) return y;
  const Acc back = d - a, lost = (a - (d - back)) - (top + back);
  return d >= std::numeric_limits<Acc>::lowest() ? y + y * lost : y;
}

// exp(x - top) as a part of a sum that is at least 1, of which only the logarithm counts: without what the difference
// lost, and with 1e-38 for all that is less.
template <class Exp, class T>
ATLED_FN T sum_part(T x, T top) {
  if constexpr (!std::is_same_v<T, float>) {
    return Exp{}(x - top);
  } else {
    const float d = x - top, bounded = d < -87.0f ? -87.0f : d;
    const fmath::Rounded k = fmath::rounded(bounded * fmath::kLog2e);
    const float y = fmath::exp_near_zero((bounded - k.f * fmath::kLn2High) - k.f * fmath::kLn2Low);
    const float scaled = bits_to_float(float_to_bits(y) + (static_cast<uint32_t>(k.n) << 23));
    return d == d ? scaled : d;
  }
}

// x - top - rest, rounded once.
template <class T, class Acc, class X>
ATLED_FN T log_below(X x, Acc top, double rest) {
  if constexpr (std::is_same_v<Acc, float>) {
    return T(static_cast<float>((static_cast<double>(static_cast<float>(x)) - static_cast<double>(top)) - rest));
  } else {
    const double d = x - top, back = d - x, lost = (x - (d - back)) - (top + back);
    return d >= std::numeric_limits<double>::lowest() ? (d - rest) + lost : d - rest;
  }
}

// An element's part of the sum that the gradient takes, and the gradient with that sum.
template <bool kLog, class Acc>
ATLED_FN Acc gradient_part(Acc grad, Acc result) {
  return kLog ? grad : grad * result;
}
template <bool kLog, class Exp, class Acc>
ATLED_FN Acc softmax_gradient(Acc grad, Acc result, Acc sum) {
  if constexpr (kLog)
    return grad - Exp{}(result)*sum;
  else
    return (grad - sum) * result;
}

}  // namespace atled::core
