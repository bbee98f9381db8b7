// What one Philox counter (four 32-bit words) becomes; the same on every device.
#pragma once

#include <cmath>
#include <type_traits>

#include "atled/philox.h"
#include "functors/copy.h"
#include "functors/float_math.h"

namespace atled::core {

// How many elements a counter gives: four of 32 random bits, or two of 64.
template <class T>
inline constexpr int per_counter = std::is_same_v<T, double> || std::is_same_v<T, uint64_t> ? 2 : 4;

// [0, 1) in T's own precision, so that rounding never reaches 1.
template <class T>
ATLED_FN T unit(uint32_t word) {
  if constexpr (std::is_same_v<T, Half>) {
    return Half(static_cast<float>(word >> 21) * 4.8828125e-4f);
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return BFloat16(static_cast<float>(word >> 24) * 3.90625e-3f);
  } else {
    return uniform_float(word);
  }
}

// from + u * width
template <class T>
struct Uniform {
  using Number = std::conditional_t<std::is_same_v<T, double>, double, float>;
  Number from, width;
  ATLED_FN void operator()(const Words4& r, T* out) const {
    if constexpr (std::is_same_v<T, double>) {
      out[0] = from + uniform_double(r.w[0], r.w[1]) * width;
      out[1] = from + uniform_double(r.w[2], r.w[3]) * width;
    } else {
      for (int j = 0; j < 4; ++j) out[j] = T(from + static_cast<float>(unit<T>(r.w[j])) * width);
    }
  }
};

// mean + deviation * z, where z comes in pairs (Box and Muller, 1958).
template <class T>
class Normal {
 public:
  using Number = std::conditional_t<std::is_same_v<T, double>, double, float>;
  Normal(Number mean, Number deviation) : mean(mean), deviation(deviation) {}
  ATLED_FN void operator()(const Words4& r, T* out) const {
    if constexpr (std::is_same_v<T, double>) {
      const double radius = deviation * std::sqrt(-2.0 * std::log(1.0 - uniform_double(r.w[0], r.w[1])));
      const double angle = 6.283185307179586 * uniform_double(r.w[2], r.w[3]);
      out[0] = mean + radius * std::cos(angle);
      out[1] = mean + radius * std::sin(angle);
    } else {
      pair(r.w[0], r.w[1], out);
      pair(r.w[2], r.w[3], out + 2);
    }
  }

 private:
  // The angle is taken in quarter turns, so that no large argument has to be reduced.
  ATLED_FN void pair(uint32_t a, uint32_t b, T* out) const {
    const float radius = deviation * std::sqrt(-2.0f * fmath::log(1.0f - uniform_float(a)));
    const float turns = 4.0f * uniform_float(b);
    const int32_t quarter = static_cast<int32_t>(turns + 0.5f);
    const float rest = (turns - static_cast<float>(quarter)) * 1.57079633f;
    const float sine = fmath::sin_part(rest), cosine = fmath::cos_part(rest);
    const float x = quarter & 1 ? sine : cosine, y = quarter & 1 ? cosine : sine;
    out[0] = T(mean + radius * ((quarter + 1) & 2 ? -x : x));
    out[1] = T(mean + radius * (quarter & 2 ? -y : y));
  }

  Number mean, deviation;
};

// -log(1 - u) / rate
template <class T>
struct Exponential {
  using Number = std::conditional_t<std::is_same_v<T, double>, double, float>;
  Number rate;
  ATLED_FN void operator()(const Words4& r, T* out) const {
    if constexpr (std::is_same_v<T, double>) {
      out[0] = -std::log(1.0 - uniform_double(r.w[0], r.w[1])) / rate;
      out[1] = -std::log(1.0 - uniform_double(r.w[2], r.w[3])) / rate;
    } else {
      for (int j = 0; j < 4; ++j) out[j] = T(-fmath::log(1.0f - uniform_float(r.w[j])) / rate);
    }
  }
};

// median + scale * tan(pi x) for x in (-1/2, 1/2), of 23 bits so that no x is an end.
template <class T>
struct Cauchy {
  using Number = std::conditional_t<std::is_same_v<T, double>, double, float>;
  Number median, scale;
  ATLED_FN void operator()(const Words4& r, T* out) const {
    if constexpr (std::is_same_v<T, double>) {
      for (int j = 0; j < 2; ++j)
        out[j] = median + scale * std::tan(3.141592653589793 * (uniform_double(r.w[2 * j], r.w[2 * j + 1]) - 0.5));
    } else {
      for (int j = 0; j < 4; ++j)
        out[j] = T(median + scale * tangent((static_cast<float>(r.w[j] >> 9) + 0.5f) * 1.1920929e-7f - 0.5f));
    }
  }

 private:
  // tan(pi x); beyond |x| = 1/4 by the cotangent of what is missing to 1/2, which no rounding touches.
  ATLED_FN static float tangent(float x) {
    const float size = fmath::absolute(x), rest = size > 0.25f ? 0.5f - size : size;
    const float sine = fmath::sin_part(3.14159265f * rest), cosine = fmath::cos_part(3.14159265f * rest);
    return fmath::with_sign(size > 0.25f ? cosine / sine : sine / cosine, x);
  }
};

// exp of a normal number.
template <class T>
class LogNormal {
 public:
  using Number = std::conditional_t<std::is_same_v<T, double>, double, float>;
  LogNormal(Number mean, Number deviation) : normal_(mean, deviation) {}
  ATLED_FN void operator()(const Words4& r, T* out) const {
    Number z[per_counter<T>];
    normal_(r, z);
    for (int j = 0; j < per_counter<T>; ++j) {
      if constexpr (std::is_same_v<T, double>) {
        out[j] = std::exp(z[j]);
      } else {
        out[j] = T(fmath::exp(z[j]));
      }
    }
  }

 private:
  Normal<Number> normal_;
};

// Trials up to the first success, 1 at least, by inversion: floor(log(u) / log(1 - p)) + 1; at most `most`.
struct Geometric {
  double per_log, most;
  template <class T>
  ATLED_FN void operator()(const Words4& r, T* out) const {
    for (int j = 0; j < 2; ++j) {
      const double trials = std::floor(std::log(1.0 - uniform_double(r.w[2 * j], r.w[2 * j + 1])) * per_log) + 1.0;
      out[j] = Cast<T, double>{}(trials < most ? trials : most);
    }
  }
};

// The high 64 bits of a product.
ATLED_FN uint64_t multiply_high(uint64_t a, uint64_t b) {
  const uint64_t a0 = static_cast<uint32_t>(a), a1 = a >> 32, b0 = static_cast<uint32_t>(b), b1 = b >> 32;
  const uint64_t middle = a1 * b0 + (a0 * b0 >> 32), low = a0 * b1 + static_cast<uint32_t>(middle);
  return a1 * b1 + (middle >> 32) + (low >> 32);
}

// low + [0, range): range up to 2^32 takes one word an element, beyond it (0 is 2^64) two.
struct SmallInteger {
  using Element = uint32_t;
  int64_t low;
  uint64_t range;
  template <class T>
  ATLED_FN void operator()(const Words4& r, T* out) const {
    for (int j = 0; j < 4; ++j) out[j] = Cast<T, int64_t>{}(low + static_cast<int64_t>(r.w[j] * range >> 32));
  }
};
struct LargeInteger {
  using Element = uint64_t;
  int64_t low;
  uint64_t range;
  template <class T>
  ATLED_FN void operator()(const Words4& r, T* out) const {
    for (int j = 0; j < 2; ++j) {
      const uint64_t bits = (static_cast<uint64_t>(r.w[2 * j]) << 32) | r.w[2 * j + 1];
      const uint64_t pick = range == 0 ? bits : multiply_high(bits, range);
      out[j] = Cast<T, int64_t>{}(static_cast<int64_t>(static_cast<uint64_t>(low) + pick));
    }
  }
};

// True with probability p: every float p < 1 - 2^-32 is met exactly to within 2^-32.
ATLED_FN bool happens(uint32_t word, double p) { return word * 2.3283064365386963e-10 < p; }

// yes with probability p, else no.
template <class T>
struct Truth {
  double p;
  T yes, no;
  ATLED_FN void operator()(const Words4& r, T* out) const {
    for (int j = 0; j < 4; ++j) out[j] = happens(r.w[j], p) ? yes : no;
  }
};

}  // namespace atled::core
