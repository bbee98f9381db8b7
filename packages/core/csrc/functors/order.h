// Elements of any real dtype as unsigned keys that order as they do, NaN above all numbers.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "functors/inline.h"

namespace atled::core {

template <class T>
using KeyOf = std::conditional_t<
    sizeof(T) == 1, uint8_t,
    std::conditional_t<sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>>;

// Equal elements have equal keys (0 and -0 too, and all NaNs).
template <class T>
ATLED_FN KeyOf<T> key_of(T x, bool descending) {
  using K = KeyOf<T>;
  constexpr K sign = static_cast<K>(K{1} << (8 * sizeof(K) - 1));
  K key;
  std::memcpy(&key, &x, sizeof key);
  if constexpr (std::is_same_v<T, bool>) {
    key = key != 0;
  } else if constexpr (std::is_integral_v<T>) {
    if constexpr (std::is_signed_v<T>) key = static_cast<K>(key ^ sign);
  } else {
    constexpr int mantissa = std::is_same_v<T, Half>       ? 10
                             : std::is_same_v<T, BFloat16> ? 7
                             : std::is_same_v<T, float>    ? 23
                                                           : 52;
    // All exponent bits: those between the sign and the mantissa.
    constexpr K infinity = static_cast<K>(sign - (K{1} << mantissa));
    const K magnitude = static_cast<K>(key & ~sign);
    // Without branches, so that loops become vector code.
    const K number = static_cast<K>(magnitude == 0 ? sign : key & sign ? ~key : key | sign);
    key = magnitude > infinity ? static_cast<K>(~K{0}) : number;
  }
  return descending ? static_cast<K>(~key) : key;
}

// Whether a key alone tells which element it is of: not so for zeros and NaNs.
template <class T>
ATLED_FN bool is_telling(KeyOf<T> key, bool descending) {
  using K = KeyOf<T>;
  if constexpr (std::is_integral_v<T>) return true;
  const K ascending = descending ? static_cast<K>(~key) : key;
  return ascending != static_cast<K>(~K{0}) && ascending != static_cast<K>(K{1} << (8 * sizeof(K) - 1));
}
// The element of a key that tells it.
template <class T>
ATLED_FN T element_of(KeyOf<T> key, bool descending) {
  using K = KeyOf<T>;
  constexpr K sign = static_cast<K>(K{1} << (8 * sizeof(K) - 1));
  if (descending) key = static_cast<K>(~key);
  if constexpr (!std::is_integral_v<T>) {
    key = key & sign ? static_cast<K>(key ^ sign) : static_cast<K>(~key);
  } else if constexpr (std::is_signed_v<T>) {
    key = static_cast<K>(key ^ sign);
  }
  T x;
  std::memcpy(static_cast<void*>(&x), &key, sizeof x);
  return x;
}

template <class K>
struct Keyed {
  Keyed() = default;
  ATLED_FN Keyed(K key, int64_t index) : key(key), index(static_cast<uint32_t>(index)) {}
  K key;
  uint32_t index;
  ATLED_FN bool operator<(const Keyed& other) const { return key != other.key ? key < other.key : index < other.index; }
};
// Where places do not matter.
template <class K>
struct KeyAlone {
  KeyAlone() = default;
  KeyAlone(K key, int64_t) : key(key) {}
  K key;
};

// A key and where it is, compared in this order; in one word where there is room.
template <class K>
using Item = std::conditional_t<sizeof(K) <= 4, uint64_t, Keyed<K>>;
template <class K>
ATLED_FN Item<K> item_of(K key, int64_t index) {
  if constexpr (sizeof(K) <= 4) {
    return static_cast<uint64_t>(key) << 32 | static_cast<uint64_t>(index);
  } else {
    return {key, static_cast<uint32_t>(index)};
  }
}
ATLED_FN uint32_t index_of(uint64_t item) { return static_cast<uint32_t>(item); }
template <class K>
ATLED_FN uint32_t index_of(const Keyed<K>& item) {
  return item.index;
}

}  // namespace atled::core
