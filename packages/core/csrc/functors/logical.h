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
// Shifting by the number of bits or more, or by less than 0, moves every bit out. A shift in the narrowest type that
// has one, by a count within bounds, is what vectors are made of.
template <class T>
using Shifted = std::conditional_t<sizeof(T) <= 4, uint32_t, uint64_t>;

struct ShiftLeft {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    using U = std::make_unsigned_t<T>;
    constexpr U kBits = sizeof(T) * 8;
    const T moved = static_cast<T>(static_cast<Shifted<T>>(a) << (static_cast<U>(b) & (kBits - 1)));
    return static_cast<U>(b) < kBits ? moved : T(0);
  }
};
struct ShiftRight {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    using U = std::make_unsigned_t<T>;
    constexpr uint32_t kBits = sizeof(T) * 8;
    if constexpr (std::is_signed_v<T>) {
      const U count = static_cast<U>(b);  // a shift by one bit fewer leaves the sign alone
      const uint32_t most = count < kBits ? static_cast<uint32_t>(count) : kBits - 1;
      return static_cast<T>(a >> most);
    } else {
      const T moved = static_cast<T>(a >> (b & (kBits - 1)));
      return b < kBits ? moved : T(0);
    }
  }
};

}  // namespace atled::core
