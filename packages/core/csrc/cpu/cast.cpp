#include "cpu/cast.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "cpu/levels.h"
#include "functors/copy.h"

namespace atled::core {

namespace {

struct CastTable {
  CastLoop loops[ATLED_NUM_DTYPES][ATLED_NUM_DTYPES];
};

template <class To, class From>
struct Convert {
  ATLED_FN To operator()(Stored<From> x) const {
    if constexpr (std::is_same_v<From, bool>) {
      return Cast<To, bool>{}(x != 0);
    } else {
      return Cast<To, From>{}(x);
    }
  }
};

// By the halves of x, each as the last digits of a number whose first are known: vectors have no instruction for it
// below AVX-512. Only the sum rounds.
template <>
struct Convert<double, int64_t> {
  ATLED_FN double operator()(int64_t x) const {
    const uint64_t bits = static_cast<uint64_t>(x);
    const uint64_t low = (bits & 0xffffffffu) | 0x4330000000000000u;           // 2^52 + the lower half
    const uint64_t high = ((bits >> 32) ^ 0x80000000u) | 0x4530000000000000u;  // 2^84 + 2^63 + 2^32 times the upper one
    double a, b;
    std::memcpy(&a, &low, sizeof a);
    std::memcpy(&b, &high, sizeof b);
    return (b - 19342822341709703277445120.0) + a;  // less 2^84 + 2^63 + 2^52
  }
};

// Only what training converts all day is worth code for each level.
template <class To, class From>
constexpr bool is_hot() {
  constexpr int f = dtype_of<From>, t = dtype_of<To>;
  constexpr bool from = f == ATLED_BOOL || f == ATLED_UINT8 || f == ATLED_INT8 || f == ATLED_INT16 ||
                        f == ATLED_INT32 || f == ATLED_INT64 || is_floating(f);
  constexpr bool to = t == ATLED_BOOL || t == ATLED_UINT8 || t == ATLED_INT8 || t == ATLED_INT16 || t == ATLED_INT32 ||
                      t == ATLED_INT64 || is_floating(t);
  return f != t && from && to && (is_floating(f) || is_floating(t) || t == ATLED_BOOL);
}

// float16 and bfloat16 become others, and come of them, by way of blocks of float32, for which there are instructions.
struct ToOdd {
  ATLED_FN float operator()(double x) const { return rounded_to_odd(x); }
  ATLED_FN float operator()(int64_t x) const { return static_cast<float>(x); }
  ATLED_FN float operator()(int32_t x) const { return static_cast<float>(x); }
};
template <class To, class From>
void by_floats(char* out, int64_t so, const char* in, int64_t si, int64_t n) {
  constexpr int64_t kBlock = 512, kFloat = sizeof(float);
  using Widen = std::conditional_t<is_small_float<From> || sizeof(From) <= 2, Convert<float, From>, ToOdd>;
  float block[kBlock];
  char* middle = reinterpret_cast<char*>(block);
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t m = std::min(kBlock, n - i);
    Avx2::convert<float, Stored<From>, Widen>(middle, kFloat, in + i * si, si, m);
    Avx2::convert<To, float, Convert<To, float>>(out + i * so, so, middle, kFloat, m);
  }
}
template <class T>
constexpr bool is_half() {
  return std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
}
template <class To, class From>
constexpr bool goes_by_floats() {
  constexpr bool wide = std::is_same_v<From, double> || std::is_same_v<From, int64_t> ||
                        std::is_same_v<From, int32_t> || std::is_same_v<From, int16_t> || sizeof(From) == 1;
  constexpr bool to = std::is_same_v<To, double> || std::is_same_v<To, int64_t> || std::is_same_v<To, int32_t>;
  return (is_half<To>() && wide) || (std::is_same_v<From, Half> && to);
}

template <class To, class From>
CastLoop pick() {
  using S = Stored<From>;
  using F = Convert<To, From>;
  if constexpr (goes_by_floats<To, From>()) {
    return cpu_level() >= kAvx2 ? by_floats<To, From> : Baseline::convert<To, S, F>;
  } else if constexpr (is_hot<To, From>()) {
    return cpu_level() >= kAvx2 ? Avx2::convert<To, S, F> : Baseline::convert<To, S, F>;
  } else {
    return Baseline::convert<To, S, F>;
  }
}

// float8 is read from a table of its numbers, and made of float32, which others become first: of all dtypes only
// float64 has what rounding them twice could change.
template <class Float8>
const float* numbers() {
  static const auto all = [] {
    std::array<float, 256> made;
    for (int i = 0; i < 256; ++i) {
      Float8 x;
      x.bits = static_cast<uint8_t>(i);
      made[static_cast<size_t>(i)] = x;
    }
    return made;
  }();
  return all.data();
}

template <class To, class Float8>
void from_float8(char* out, int64_t out_stride, const char* in, int64_t in_stride, int64_t n) {
  const float* number = numbers<Float8>();
  for (int64_t i = 0; i < n; ++i)
    *reinterpret_cast<To*>(out + i * out_stride) =
        Cast<To, float>{}(number[*reinterpret_cast<const uint8_t*>(in + i * in_stride)]);
}

// Where float has fewer digits, all others but bfloat16 are 0.
template <class Narrow>
struct OddFloat {
  ATLED_FN float operator()(double x) const {
    if constexpr (std::is_same_v<Narrow, BFloat16>) {
      return rounded_to_odd(x);
    } else {
      uint64_t bits;
      std::memcpy(&bits, &x, sizeof bits);
      bits = odd_digits(bits);
      std::memcpy(&x, &bits, sizeof x);
      return static_cast<float>(x);
    }
  }
};

template <class From, class Narrow>
CastLoop to_floats() {
  using F = OddFloat<Narrow>;
  if (!std::is_same_v<From, double>) return cast_loop(dtype_of<From>, ATLED_FLOAT32);
  return cpu_level() >= kAvx2 ? Avx2::convert<float, double, F> : Baseline::convert<float, double, F>;
}

// By float32, a block at a time.
template <class Narrow, class From>
void in_two_steps(char* out, int64_t out_stride, const char* in, int64_t in_stride, int64_t n) {
  static const CastLoop narrow = pick<Narrow, float>();
  if (std::is_same_v<From, float>) return narrow(out, out_stride, in, in_stride, n);
  const CastLoop widen = to_floats<From, Narrow>();
  constexpr int64_t kBlock = 512;
  float block[kBlock];
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t part = std::min(kBlock, n - i);
    widen(reinterpret_cast<char*>(block), sizeof(float), in + i * in_stride, in_stride, part);
    narrow(out + i * out_stride, out_stride, reinterpret_cast<char*>(block), sizeof(float), part);
  }
}

template <class To, class From>
CastLoop chosen() {
  if constexpr (is_float8(dtype_of<To>)) {
    return in_two_steps<To, From>;
  } else if constexpr (is_float8(dtype_of<From>)) {
    return from_float8<To, From>;
  } else if constexpr (is_small_float<To> && std::is_same_v<From, double>) {
    return in_two_steps<To, From>;
  } else {
    return pick<To, From>();
  }
}

const CastTable& table() {
  static const CastTable built = [] {
    CastTable t;
    for (int from = 0; from < ATLED_NUM_DTYPES; ++from)
      for (int to = 0; to < ATLED_NUM_DTYPES; ++to)
        t.loops[from][to] = visit_any_dtype(from, [&](auto f) {
          return visit_any_dtype(
              to, [](auto x) { return chosen<typename decltype(x)::type, typename decltype(f)::type>(); });
        });
    return t;
  }();
  return built;
}

}  // namespace

CastLoop cast_loop(int from, int to) { return table().loops[from][to]; }

}  // namespace atled::core
