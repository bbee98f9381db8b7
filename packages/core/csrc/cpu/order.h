// Sorting lines of any real dtype by unsigned keys that order as the elements do, NaN above all numbers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "cpu/parallel.h"
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

// Whether a key alone tells which element it is of: not so for zeros and NaNs.
template <class T>
ATLED_INLINE bool is_telling(KeyOf<T> key, bool descending) {
  using K = KeyOf<T>;
  if constexpr (std::is_integral_v<T>) return true;
  const K ascending = descending ? static_cast<K>(~key) : key;
  return ascending != static_cast<K>(~K{0}) && ascending != static_cast<K>(K{1} << (8 * sizeof(K) - 1));
}
// The element of a key that tells it.
template <class T>
ATLED_INLINE T element_of(KeyOf<T> key, bool descending) {
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
  K key;
  uint32_t index;
  bool operator<(const Keyed& other) const { return key != other.key ? key < other.key : index < other.index; }
};

constexpr int64_t kInsertion = 96;      // fewer elements are sorted by insertion
constexpr int64_t kLongSort = 1 << 15;  // more are divided first

template <class K>
void insertion_sort(Keyed<K>* items, int64_t n) {
  for (int64_t i = 1; i < n; ++i) {
    const Keyed<K> item = items[i];
    int64_t j = i;
    for (; j > 0 && item.key < items[j - 1].key; --j) items[j] = items[j - 1];
    items[j] = item;
  }
}

// Sorts by the lowest kBytes bytes of the keys, least significant first, and returns where the result is: in items, or
// in spare. All histograms are made in one pass, and bytes that do not differ are skipped.
template <int kBytes, class K>
Keyed<K>* radix_sort(Keyed<K>* items, Keyed<K>* spare, int64_t n) {
  if (n < kInsertion) {
    insertion_sort(items, n);
    return items;
  }
  uint32_t counts[kBytes][256] = {};
  for (int64_t i = 0; i < n; ++i)
    for (int d = 0; d < kBytes; ++d) ++counts[d][(items[i].key >> 8 * d) & 255];
  Keyed<K>*from = items, *to = spare;
  for (int d = 0; d < kBytes; ++d) {
    uint32_t* count = counts[d];
    if (count[(from[0].key >> 8 * d) & 255] == n) continue;
    uint32_t start = 0;
    for (int b = 0; b < 256; ++b) {
      const uint32_t here = count[b];
      count[b] = start;
      start += here;
    }
    for (int64_t i = 0; i < n; ++i) to[count[(from[i].key >> 8 * d) & 255]++] = from[i];
    std::swap(from, to);
  }
  return from;
}

// The same for all of the key's bits below `bits`.
template <class K>
Keyed<K>* radix_sort_below(int bits, Keyed<K>* items, Keyed<K>* spare, int64_t n) {
  if constexpr (sizeof(K) >= 4) {
    if (bits <= 8) return radix_sort<1>(items, spare, n);
    if (bits <= 16) return radix_sort<2>(items, spare, n);
    if (bits <= 24) return radix_sort<3>(items, spare, n);
  }
  return radix_sort<static_cast<int>(sizeof(K))>(items, spare, n);
}

// Divides by the highest bits in which keys differ, so that threads share the work and each part stays in the cache.
template <class K>
void sort_long(Keyed<K>* items, Keyed<K>* spare, int64_t n) {
  const int64_t chunks = std::min<int64_t>(4 * num_threads(), n / 4096), chunk = (n + chunks - 1) / chunks;
  auto each_chunk = [&](auto&& f) {
    parallel(chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) f(c, c * chunk, std::min(n, (c + 1) * chunk));
    });
  };
  std::vector<K> differ(static_cast<size_t>(chunks));
  each_chunk([&](int64_t c, int64_t begin, int64_t end) {
    K bits = 0;
    for (int64_t i = begin; i < end; ++i) bits |= static_cast<K>(items[i].key ^ items[0].key);
    differ[static_cast<size_t>(c)] = bits;
  });
  K all = 0;
  for (const K bits : differ) all |= bits;
  if (all == 0) return;
  int top = 0, wanted = 4;
  while (top < 8 * static_cast<int>(sizeof(K)) && all >> top) ++top;
  while (wanted < 11 && n >> (wanted + 12)) ++wanted;
  const int shift = std::max(0, top - wanted);
  const int64_t buckets = int64_t{1} << (top - shift), mask = buckets - 1;
  std::vector<int64_t> counts(static_cast<size_t>(chunks * buckets)), ends(static_cast<size_t>(buckets) + 1);
  auto bucket_of = [&](K key) { return static_cast<int64_t>(key >> shift) & mask; };
  each_chunk([&](int64_t c, int64_t begin, int64_t end) {
    int64_t* count = &counts[static_cast<size_t>(c * buckets)];
    for (int64_t i = begin; i < end; ++i) ++count[bucket_of(items[i].key)];
  });
  int64_t start = 0;
  for (int64_t b = 0; b < buckets; ++b) {
    for (int64_t c = 0; c < chunks; ++c) {
      int64_t& count = counts[static_cast<size_t>(c * buckets + b)];
      const int64_t here = count;
      count = start;
      start += here;
    }
    ends[static_cast<size_t>(b) + 1] = start;
  }
  each_chunk([&](int64_t c, int64_t begin, int64_t end) {
    int64_t* next = &counts[static_cast<size_t>(c * buckets)];
    for (int64_t i = begin; i < end; ++i) spare[next[bucket_of(items[i].key)]++] = items[i];
  });
  // Parts of about equal work, whole buckets each.
  std::vector<int64_t> parts{0};
  for (int64_t b = 1; b <= buckets; ++b)
    if (b == buckets || ends[static_cast<size_t>(b)] - ends[static_cast<size_t>(parts.back())] >= n / 64)
      parts.push_back(b);
  parallel(static_cast<int64_t>(parts.size()) - 1, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = parts[static_cast<size_t>(begin)]; b < parts[static_cast<size_t>(end)]; ++b) {
      const int64_t first = ends[static_cast<size_t>(b)], length = ends[static_cast<size_t>(b) + 1] - first;
      if (length == 0) continue;
      Keyed<K>* sorted = radix_sort_below(shift, spare + first, items + first, length);
      if (sorted != items + first)
        std::memcpy(static_cast<void*>(items + first), sorted, static_cast<size_t>(length) * sizeof(Keyed<K>));
    }
  });
}

// A stable sort by key alone. `spare` has room for n.
template <class K>
void sort_keyed(Keyed<K>* items, Keyed<K>* spare, int64_t n) {
  if (n >= kLongSort && n <= UINT32_MAX) return sort_long(items, spare, n);
  const Keyed<K>* sorted = radix_sort<static_cast<int>(sizeof(K))>(items, spare, n);
  if (sorted != items) std::memcpy(static_cast<void*>(items), sorted, static_cast<size_t>(n) * sizeof(Keyed<K>));
}

}  // namespace atled::core
