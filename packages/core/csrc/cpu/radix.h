// Sorting lines of elements by their keys, stably, on all threads.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "functors/order.h"

namespace atled::core {

constexpr int64_t kInsertion = 64;      // fewer items are sorted by insertion
constexpr int64_t kLongSort = 1 << 15;  // more are divided first
constexpr int kMostBits = 11;           // to divide by

template <class Item>
void insertion_sort(Item* items, int64_t n) {
  for (int64_t i = 1; i < n; ++i) {
    const Item item = items[i];
    int64_t j = i;
    for (; j > 0 && item.key < items[j - 1].key; --j) items[j] = items[j - 1];
    items[j] = item;
  }
}

// Sorts by kBytes bytes of the keys from bit `low` on, least significant first. All histograms are made in one pass,
// and bytes that do not differ are skipped. Returns where the result is: items or spare.
template <int kBytes, class Item>
Item* sort_bytes(Item* items, Item* spare, int64_t n, int low) {
  uint32_t counts[kBytes][256] = {};
  for (int64_t i = 0; i < n; ++i)
    for (int d = 0; d < kBytes; ++d) ++counts[d][(items[i].key >> low >> 8 * d) & 255];
  Item *from = items, *to = spare;
  for (int d = 0; d < kBytes; ++d) {
    uint32_t* count = counts[d];
    if (count[(from[0].key >> low >> 8 * d) & 255] == n) continue;
    uint32_t start = 0;
    for (int b = 0; b < 256; ++b) start += std::exchange(count[b], start);
    for (int64_t i = 0; i < n; ++i) to[count[(from[i].key >> low >> 8 * d) & 255]++] = from[i];
    std::swap(from, to);
  }
  return from;
}

// Sorts items whose keys differ in the lowest `bits` bits alone: by as many bytes at the top of these as tell most keys
// apart; then runs that are still equal by the bits below. Returns where the result is: items or spare.
template <class Item>
Item* sort_bits(Item* items, Item* spare, int64_t n, int bits) {
  if (n < kInsertion) {
    insertion_sort(items, n);
    return items;
  }
  constexpr int kMost = std::min<int>(4, sizeof(items->key));
  const int all = (bits + 7) / 8, few = n >> 20 ? 4 : n >> 12 ? 3 : 2;
  const int bytes = all <= few + 1 && all <= kMost ? all : std::min(few, kMost), low = std::max(0, bits - 8 * bytes);
  Item* sorted = bytes <= 1   ? sort_bytes<1>(items, spare, n, low)
                 : bytes == 2 ? sort_bytes<std::min(2, kMost)>(items, spare, n, low)
                 : bytes == 3 ? sort_bytes<std::min(3, kMost)>(items, spare, n, low)
                              : sort_bytes<kMost>(items, spare, n, low);
  if (low == 0) return sorted;
  Item* other = sorted == items ? spare : items;
  for (int64_t i = 0, end; i < n; i = end) {
    for (end = i + 1; end < n && sorted[end].key >> low == sorted[i].key >> low;) ++end;
    if (end - i == 1) continue;
    const Item* run = sort_bits(sorted + i, other, end - i, low);
    if (run != sorted + i) std::copy(run, run + (end - i), sorted + i);
  }
  return sorted;
}

// Calls f(key, i) for the elements [begin, end) of x.
template <class T, class F>
void each_key(const T* x, int64_t begin, int64_t end, bool descending, F&& f) {
  // Keys of floats are made in vectors.
  constexpr int64_t kBlock = 256;
  KeyOf<T> keys[kBlock];
  for (int64_t i = begin; i < end; i += kBlock) {
    const int64_t m = std::min(kBlock, end - i);
    for (int64_t j = 0; j < m; ++j) keys[j] = key_of(x[i + j], descending);
    for (int64_t j = 0; j < m; ++j) f(keys[j], i + j);
  }
}

// How many bits there are up to the highest one that is set.
template <class K>
int bit_length(K bits) {
  int top = 0;
  while (top < 8 * static_cast<int>(sizeof bits) && bits >> top) ++top;
  return top;
}

// The bits in which keys of x[begin], ..., x[end - 1] differ from the key of x[0].
template <class T>
KeyOf<T> differing_bits(const T* x, int64_t begin, int64_t end) {
  const KeyOf<T> first = key_of(x[0], false);
  KeyOf<T> bits = 0;
  for (int64_t i = begin; i < end; ++i) bits |= static_cast<KeyOf<T>>(key_of(x[i], false) ^ first);
  return bits;
}

// Sorts the elements of x into items; calls done(sorted, begin, end) for parts [begin, end) of the result as they are
// ready: sorted[0] is item number begin. `spare` has room for n items where n is less than kLongSort.
template <class T, class Item, class Done>
void sort_line(const T* x, int64_t n, bool descending, Item* items, Item* spare, Done done) {
  using K = KeyOf<T>;
  if (n < kLongSort) {
    for (int64_t i = 0; i < n; ++i) items[i] = Item(key_of(x[i], descending), i);
    return done(sort_bits(items, spare, n, n < kInsertion ? 0 : bit_length(differing_bits(x, 0, n))), int64_t{0}, n);
  }
  const int64_t chunks = std::min<int64_t>(4 * num_threads(), n / 4096), chunk = (n + chunks - 1) / chunks;
  auto each_chunk = [&](auto&& f) {
    parallel(chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) f(c, c * chunk, std::min(n, (c + 1) * chunk));
    });
  };
  std::vector<K> differ(static_cast<size_t>(chunks));
  each_chunk(
      [&](int64_t c, int64_t begin, int64_t end) { differ[static_cast<size_t>(c)] = differing_bits(x, begin, end); });
  K all = 0;
  for (const K bits : differ) all |= bits;
  // By the highest bits in which keys differ, so that each bucket stays in the cache.
  const int top = bit_length(all);
  int wanted = top <= kMostBits ? top : 4;
  while (wanted < kMostBits && wanted < top && n >> (wanted + 12)) ++wanted;
  const int shift = top - wanted;
  const int64_t buckets = int64_t{1} << wanted;
  std::vector<int64_t> counts(static_cast<size_t>(chunks * buckets)), ends(static_cast<size_t>(buckets) + 1);
  auto bucket_of = [=](K key) { return static_cast<int64_t>(key >> shift) & (buckets - 1); };
  each_chunk([&](int64_t c, int64_t begin, int64_t end) {
    int64_t* count = &counts[static_cast<size_t>(c * buckets)];
    each_key(x, begin, end, descending, [=](K key, int64_t) { ++count[bucket_of(key)]; });
  });
  int64_t start = 0;
  for (int64_t b = 0; b < buckets; ++b) {
    for (int64_t c = 0; c < chunks; ++c) start += std::exchange(counts[static_cast<size_t>(c * buckets + b)], start);
    ends[static_cast<size_t>(b) + 1] = start;
  }
  each_chunk([&](int64_t c, int64_t begin, int64_t end) {
    int64_t* next = &counts[static_cast<size_t>(c * buckets)];
    each_key(x, begin, end, descending, [=](K key, int64_t i) { items[next[bucket_of(key)]++] = Item(key, i); });
  });
  // Parts of about equal work, whole buckets each.
  std::vector<int64_t> parts{0};
  for (int64_t b = 1; b <= buckets; ++b)
    if (b == buckets || ends[static_cast<size_t>(b)] - ends[static_cast<size_t>(parts.back())] >= n / 64)
      parts.push_back(b);
  parallel(static_cast<int64_t>(parts.size()) - 1, 1, [&](int64_t first, int64_t last) {
    const size_t begin = static_cast<size_t>(parts[static_cast<size_t>(first)]),
                 end = static_cast<size_t>(parts[static_cast<size_t>(last)]);
    if (shift == 0) return done(items + ends[begin], ends[begin], ends[end]);
    int64_t largest = 0;
    for (size_t b = begin; b < end; ++b) largest = std::max(largest, ends[b + 1] - ends[b]);
    Scratch<Item> room(largest);
    for (size_t b = begin; b < end; ++b)
      done(sort_bits(items + ends[b], room.data(), ends[b + 1] - ends[b], shift), ends[b], ends[b + 1]);
  });
}

}  // namespace atled::core
