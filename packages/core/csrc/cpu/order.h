// Sorting lines of any real dtype by unsigned keys that order as the elements do, NaN above all numbers.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "functors/inline.h"

namespace atled::core {

template <class T>
using KeyOf = std::conditional_t<
    sizeof(T) == 1, uint8_t,
    std::conditional_t<sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>>;

// Equal elements have equal keys (0 and -0 too, and all NaNs).
template <class T>
ATLED_INLINE KeyOf<T> key_of(T x, bool descending) {
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

template <class K>
struct Keyed {
  K key;
  uint32_t index;
  bool operator<(const Keyed& other) const { return key != other.key ? key < other.key : index < other.index; }
};

// A stable sort by key alone. `spare` has room for n.
template <class K>
void sort_keyed(Keyed<K>* items, Keyed<K>* spare, int64_t n) {
  if (n < 96) {
    for (int64_t i = 1; i < n; ++i) {
      const Keyed<K> item = items[i];
      int64_t j = i;
      for (; j > 0 && item.key < items[j - 1].key; --j) items[j] = items[j - 1];
      items[j] = item;
    }
    return;
  }
  // Least significant byte first; all histograms in one pass, and bytes that do not differ are skipped.
  constexpr int kDigits = sizeof(K);
  std::vector<int64_t> counts(256 * kDigits, 0);
  for (int64_t i = 0; i < n; ++i)
    for (int d = 0; d < kDigits; ++d) ++counts[static_cast<size_t>(256 * d + ((items[i].key >> 8 * d) & 255))];
  Keyed<K>*from = items, *to = spare;
  for (int d = 0; d < kDigits; ++d) {
    int64_t* count = counts.data() + 256 * d;
    if (count[(from[0].key >> 8 * d) & 255] == n) continue;
    int64_t start = 0;
    for (int b = 0; b < 256; ++b) {
      const int64_t here = count[b];
      count[b] = start;
      start += here;
    }
    for (int64_t i = 0; i < n; ++i) to[count[(from[i].key >> 8 * d) & 255]++] = from[i];
    std::swap(from, to);
  }
  if (from != items) std::memcpy(static_cast<void*>(items), from, static_cast<size_t>(n) * sizeof(Keyed<K>));
}

}  // namespace atled::core
