// Sums of floating-point numbers that are the same bits in any order: each number becomes an integer, in units that the
// largest exponent of its sum decides, and integers are added without rounding.
//
// First all numbers' tops are joined; then their summands are added, modulo 2^64; added() puts the sum to what was
// there. Of n numbers below 2^E, each is rounded to a multiple of 2^(E - S) with S = unit_bits(points) >= 30, of
// 2^(E - 2S) in float64: the sum is off by at most n 2^(E - S - 1), where float32 numbers added one after the other may
// be off by (n - 1) 2^(E - 25) and more. What is not float64 is added to the place in double, where the sum has at most
// as large an error once more; then the result is rounded.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "functors/copy.h"
#include "functors/order.h"

namespace atled::core::fixed_sum {

// What is among a sum's numbers: nothing, zeros, the largest exponent (its bits, from 1 on, above kZero); bits of their
// own for what is not finite. Infinities of both signs are NaN.
constexpr uint32_t kNobody = 0, kMinusZero = 1, kZero = 2;
constexpr uint32_t kPlusInfinity = 1u << 30, kMinusInfinity = 1u << 31, kNaN = kPlusInfinity | kMinusInfinity;

ATLED_FN bool is_finite(uint32_t top) { return top < kPlusInfinity; }
// Below an infinity's bits there may be anything.
ATLED_FN uint32_t join(uint32_t a, uint32_t b) { return is_finite(b) ? (a < b ? b : a) : a | b; }

template <class T>
struct Format;  // digits, with the one that is not stored, and what exponents are stored with
template <>
struct Format<Half> {
  static constexpr int kDigits = 11, kBias = 15;
};
template <>
struct Format<BFloat16> {
  static constexpr int kDigits = 8, kBias = 127;
};
template <>
struct Format<float> {
  static constexpr int kDigits = 24, kBias = 127;
};
template <>
struct Format<double> {
  static constexpr int kDigits = 53, kBias = 1023;
};

// A number's bits: magnitude = mantissa() 2^(exponent() - 1) in units of the smallest subnormal.
template <class T>
struct Parts {
  using K = KeyOf<T>;
  static constexpr int kDigits = Format<T>::kDigits;
  static constexpr K kSign = static_cast<K>(K{1} << (8 * sizeof(K) - 1));
  static constexpr K kHidden = static_cast<K>(K{1} << (kDigits - 1));
  static constexpr K kInfinity = static_cast<K>(kSign - kHidden);

  ATLED_FN explicit Parts(T x) {
    K bits;
    std::memcpy(&bits, &x, sizeof bits);
    negative = (bits & kSign) != 0;
    magnitude = static_cast<K>(bits & ~kSign);
  }
  ATLED_FN uint32_t exponent() const {
    return magnitude < kHidden ? 1 : static_cast<uint32_t>(magnitude >> (kDigits - 1));
  }
  ATLED_FN uint64_t mantissa() const {
    return static_cast<uint64_t>(magnitude < kHidden ? magnitude : (magnitude & (kHidden - 1)) | kHidden);
  }

  K magnitude;
  bool negative;
};

template <class T>
ATLED_FN uint32_t top_of(T x) {
  using P = Parts<T>;
  const P parts(x);
  if (parts.magnitude > P::kInfinity) return kNaN;
  if (parts.magnitude == P::kInfinity) return parts.negative ? kMinusInfinity : kPlusInfinity;
  if (parts.magnitude == 0) return parts.negative ? kMinusZero : kZero;
  return kZero + parts.exponent();
}

// S: so that as many summands do not overflow, each of at most 2^S, and a double holds one.
inline int unit_bits(uint64_t points) {
  int bits = 62;
  for (; points > 0; points >>= 1) --bits;
  return std::min(bits, 52);
}

// x / 2^shift, to the nearest integer.
ATLED_FN uint64_t shifted(uint64_t x, uint32_t shift) {
  return shift > 62 ? 0 : (x + ((uint64_t{1} << shift) >> 1)) >> shift;
}

// A number or a sum: (limbs[0] + limbs[1] 2^-S) 2^(E - S), both limbs signed.
template <class T>
struct Summand {
  static constexpr int kLimbs = sizeof(T) == 8 ? 2 : 1;
  uint64_t limbs[kLimbs] = {};
};

// Of a finite x whose sum has this finite top.
template <class T>
ATLED_FN Summand<T> summand(T x, uint32_t top, int unit_bits) {
  const Parts<T> parts(x);
  const uint32_t bits = static_cast<uint32_t>(unit_bits), below = top - kZero - parts.exponent();
  const uint64_t mantissa = parts.mantissa();
  Summand<T> s;
  if constexpr (Summand<T>::kLimbs == 1) {
    s.limbs[0] = shifted(mantissa << (bits - Parts<T>::kDigits), below);
  } else {
    // mantissa = high 2^cut + rest, which are integers: only rest can lose bits, and only where cut > S. Rest is below
    // 2^cut, so that the second limb is at most 2^S.
    const uint32_t cut = 53 - bits + below;
    const uint64_t high = cut > 63 ? 0 : mantissa >> cut, rest = cut > 63 ? mantissa : mantissa - (high << cut);
    s.limbs[0] = high;
    s.limbs[1] = cut > bits ? shifted(rest, cut - bits) : rest << (bits - cut);
  }
  if (parts.negative)
    for (uint64_t& limb : s.limbs) limb = 0 - limb;
  return s;
}

// 2^n for -1023 < n < 1024.
ATLED_FN double power_of_two(int n) {
  const uint64_t bits = static_cast<uint64_t>(1023 + n) << 52;
  double x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// What a double has is kept twice as long: the sum may cancel what was there, or be cancelled in itself.
ATLED_FN double added(double held, int exponent, int bits, int64_t high, int64_t low) {
  const int64_t whole = high + (low >> bits);
  const uint64_t below = static_cast<uint64_t>(low) & ((uint64_t{1} << bits) - 1);
  if ((whole == 0 && below == 0) || held - held != 0) return held + 0.0;
  const double head = static_cast<double>(whole);
  const double tail =
      static_cast<double>(whole - static_cast<int64_t>(head)) + static_cast<double>(below) * power_of_two(-bits);
  // Where the sum alone may be too large for a double, all is made smaller until the end.
  const int down = exponent > 512 ? 128 : 0, scale = exponent - bits - down;
  const double h = std::scalbn(held, -down), s = std::scalbn(head, scale);
  const double sum = h + s, part = sum - h, lost = (h - (sum - part)) + (s - part);
  return std::scalbn(sum + (lost + std::scalbn(tail, scale)), down);
}

// held + sum, for a top above kMinusZero; below it, held is to stay as it is.
template <class T>
ATLED_FN T added(T held, uint32_t top, int unit_bits, const Summand<T>& sum) {
  using Wide = std::conditional_t<sizeof(T) == 8, double, float>;
  using Limits = std::numeric_limits<Wide>;
  if (!is_finite(top)) {
    const Wide infinity = top & kPlusInfinity ? Limits::infinity() : -Limits::infinity();
    return static_cast<T>(static_cast<Wide>(held) + ((top & kNaN) == kNaN ? Limits::quiet_NaN() : infinity));
  }
  const int exponent = static_cast<int>(top - kZero) - Format<T>::kBias + 1;
  if constexpr (Summand<T>::kLimbs == 1) {
    const double x = static_cast<double>(static_cast<int64_t>(sum.limbs[0])) * power_of_two(exponent - unit_bits);
    return Cast<T, double>{}(static_cast<double>(static_cast<Wide>(held)) + x);
  } else {
    return added(held, exponent, unit_bits, static_cast<int64_t>(sum.limbs[0]), static_cast<int64_t>(sum.limbs[1]));
  }
}

}  // namespace atled::core::fixed_sum
