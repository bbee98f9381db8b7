// What attention's loops on the CPU share: the most of a block, how products end, and powers.
#pragma once

#include "functors/math.h"

namespace atled::nn {

constexpr int64_t kMostQueries = 64;  // of a block

// How a product goes into what is there.
enum class Into { kSet, kAdd, kRescale };

// What softmax takes powers of, for x <= 0: of() takes scores times kUnit. Of minus infinity they are 0.
template <class T>
struct Powers {
  static constexpr T kUnit = 1;
  ATLED_INLINE static T of(T x) { return exponential(x); }
};
// Powers of two, by a minimax polynomial within 0.04 units of 2^-24. Subnormal results become 0.
template <>
struct Powers<float> {
  static constexpr float kUnit = 1.44269504f;  // 1 / ln 2
  ATLED_INLINE static float of(float x) {
    constexpr float kLeast = -126.0f, kShift = 12582912.0f;  // leaves the nearest integer in the last bits
    const float bounded = x < kLeast ? kLeast : x, rounded = bounded + kShift, r = bounded - (rounded - kShift);
    float p = 1.535332416e-4f;
    p = p * r + 1.339887003e-3f;
    p = p * r + 9.618437456e-3f;
    p = p * r + 5.550332482e-2f;
    p = p * r + 2.402264791e-1f;
    p = p * r + 6.931472029e-1f;
    p = p * r + 1.0f;
    const float y = bits_to_float(float_to_bits(p) + (float_to_bits(rounded) << 23));
    return x < kLeast ? 0.0f : y;
  }
};

}  // namespace atled::nn
