// Truth values and bits of one element.
#pragma once

#include <cstdint>
#include <type_traits>

#include "functors/copy.h"

namespace atled::core {

// Bytes of bool in, 0 or 1 out.
struct LogicalAnd {
  ATLED_FN bool operator()(uint8_t a, uint8_t b) const { return (a != 0) & (b != 0); }
};
struct LogicalOr {
  ATLED_FN bool operator()(uint8_t a, uint8_t b) const { return (a | b) != 0; }
};
struct LogicalXor {
  ATLED_FN bool operator()(uint8_t a, uint8_t b) const { return (a != 0) != (b != 0); }
};
struct LogicalNot {
  ATLED_FN bool operator()(uint8_t a) const { return a == 0; }
};
struct Truth {
  ATLED_FN bool operator()(uint8_t a) const { return a != 0; }
};

struct BitAnd {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return static_cast<T>(a & b);
  }
};
struct BitOr {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return static_cast<T>(a | b);
  }
};
struct BitXor {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return static_cast<T>(a ^ b);
  }
};
struct BitNot {
  template <class T>
  ATLED_FN T operator()(T a) const {
    return static_cast<T>(~a);
  }
};
// Shifting by the number of bits or more, or by less than 0, moves every bit out.
struct ShiftLeft {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    using U = std::make_unsigned_t<T>;
    constexpr U kBits = sizeof(T) * 8;
    return static_cast<U>(b) < kBits ? static_cast<T>(static_cast<uint64_t>(a) << static_cast<U>(b)) : T(0);
  }
};
struct ShiftRight {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    using U = std::make_unsigned_t<T>;
    constexpr U kBits = sizeof(T) * 8;
    if (static_cast<U>(b) < kBits) return static_cast<T>(a >> static_cast<U>(b));
    return std::is_signed_v<T> && a < T(0) ? static_cast<T>(-1) : T(0);
  }
};

}  // namespace atled::core
