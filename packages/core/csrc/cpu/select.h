// Finding what a stable ascending sort (NaN last) would put at a rank, without sorting.
//
// Of many elements, two of a sample enclose the rank closely with high probability (Floyd and Rivest, "Expected time
// bounds for selection", 1975): one pass counts what is below and collects what is between, which is little.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cpu/order.h"
#include "cpu/parallel.h"
#include "functors/copy.h"

namespace atled::core {

constexpr int64_t kSelectFew = 4096;     // so many elements are put into order as they are
constexpr int64_t kSelectChunk = 16384;  // elements of a pass that one thread does at a time
constexpr int64_t kSelectBlock = 64;     // elements that vector code compares at a time

// Integers have none.
template <class T>
bool is_nan_key(KeyOf<T> key) {
  return !std::is_integral_v<T> && key == static_cast<KeyOf<T>>(~KeyOf<T>{0});
}

// Elements in a form that vector code compares as their keys are compared, NaN aside, which compares false: numbers as
// they are, halves by their keys (where NaN is the largest).
template <class T>
ATLED_INLINE auto comparable(T x) {
  if constexpr (is_small_float<T>) {
    return key_of(x, false);
  } else {
    return static_cast<Stored<T>>(x);
  }
}

// Elements (by index) at or close to a rank, on either side of it; -1 for no bound on that side.
struct Bounds {
  int64_t low, high;
};

template <class T>
Bounds enclose(const T* x, int64_t n, int64_t k) {
  const double size = std::pow(static_cast<double>(n), 2.0 / 3.0),
               part = static_cast<double>(k) / static_cast<double>(n);
  const int64_t count = static_cast<int64_t>(size), width = n / count;
  std::vector<Keyed<KeyOf<T>>> sample(static_cast<size_t>(count));
  // One element of each of `count` equal stretches, at places that follow no pattern (multiplicative hashing).
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t hash = static_cast<uint64_t>(i + 1) * 0x9E3779B97F4A7C15u;
    const int64_t at = i * width + static_cast<int64_t>(hash >> 32) % width;
    sample[static_cast<size_t>(i)] = {key_of(x[at], false), static_cast<uint32_t>(at)};
  }
  auto at = [&](double rank) -> int64_t {
    // Near an end the sample may lack the extremes.
    if (!(rank >= 0 && rank < static_cast<double>(count))) return -1;
    const auto place = sample.begin() + static_cast<int64_t>(rank);
    std::nth_element(sample.begin(), place, sample.end());
    return place->index;
  };
  // Four standard deviations of the rank in the sample.
  const double margin = 4 * std::sqrt(size * part * (1 - part)) + 2;
  const Bounds bounds{at(part * size - margin), at(part * size + margin)};
  return {bounds.low, bounds.high < 0 || is_nan_key<T>(key_of(x[bounds.high], false)) ? -1 : bounds.high};
}

// Memory that one line after another uses.
template <class K>
struct SelectScratch {
  std::vector<K> keys, order;
};

// found[i] is at rank k + i, for i < count.
template <class T>
void select_few(const T* x, int64_t n, int64_t k, int count, Keyed<KeyOf<T>>* found, SelectScratch<KeyOf<T>>& scratch) {
  using K = KeyOf<T>;
  std::vector<K>&keys = scratch.keys, &order = scratch.order;
  keys.resize(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) keys[static_cast<size_t>(i)] = key_of(x[i], false);
  order = keys;
  const auto place = order.begin() + k;
  std::nth_element(order.begin(), place, order.end());
  for (int c = 0; c < count; ++c) {
    const K key = c == 0 ? *place : *std::min_element(place + 1, order.end());
    int64_t left = k + c, i = 0;
    for (const K other : keys) left -= other < key;
    while (keys[static_cast<size_t>(i)] != key || left-- > 0) ++i;
    found[c] = {key, static_cast<uint32_t>(i)};
  }
}

// The element at rank k, if its key is this one; false when it is not.
template <class T>
bool select_equal(const T* x, int64_t n, int64_t k, KeyOf<T> key, Keyed<KeyOf<T>>* found) {
  struct Tally {
    int64_t below, equal;
  };
  const int64_t chunks = (n + kSelectChunk - 1) / kSelectChunk;
  std::vector<Tally> tallies(static_cast<size_t>(chunks));
  parallel(chunks, 1, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      int below = 0, equal = 0;
      for (int64_t i = c * kSelectChunk, end = std::min(n, i + kSelectChunk); i < end; ++i) {
        const auto here = key_of(x[i], false);
        below += here < key;
        equal += here == key;
      }
      tallies[static_cast<size_t>(c)] = {below, equal};
    }
  });
  int64_t left = k;
  for (const Tally& t : tallies) left -= t.below;
  for (int64_t c = 0; c < chunks && left >= 0; ++c) {
    const int64_t equal = tallies[static_cast<size_t>(c)].equal;
    if (left >= equal) {
      left -= equal;
      continue;
    }
    int64_t i = c * kSelectChunk;
    while (key_of(x[i], false) != key || left-- > 0) ++i;
    *found = {key, static_cast<uint32_t>(i)};
    return true;
  }
  return false;
}

// Marks what is within bounds; returns how many are below.
template <class T, class C>
ATLED_INLINE int mark_block(const T* x, int64_t n, C low, C high, bool open_low, bool open_high, uint8_t* marks) {
  int below = 0;
  for (int64_t i = 0; i < n; ++i) {
    const C here = comparable(x[i]);
    const bool less = (here < low) & !open_low, more = (here > high) & !open_high, unordered = here != here;
    below += less;
    // A NaN is above every bound.
    marks[i] = static_cast<uint8_t>(!(less | more | (unordered & !open_high)));
  }
  return below;
}

// Ranks k to k + count - 1, if they are all within bounds; false when they are not.
template <class T>
bool select_between(const T* x, int64_t n, int64_t k, int count, Bounds bounds, Keyed<KeyOf<T>>* found) {
  using K = KeyOf<T>;
  const int64_t chunks = (n + kSelectChunk - 1) / kSelectChunk;
  std::vector<std::vector<Keyed<K>>> inside(static_cast<size_t>(chunks));
  std::vector<int64_t> below(static_cast<size_t>(chunks));
  const bool open_low = bounds.low < 0, open_high = bounds.high < 0;
  const auto low = comparable(x[open_low ? 0 : bounds.low]), high = comparable(x[open_high ? 0 : bounds.high]);
  parallel(chunks, 1, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      std::vector<Keyed<K>>& kept = inside[static_cast<size_t>(c)];
      int64_t less = 0;
      for (int64_t i = c * kSelectChunk, end = std::min(n, i + kSelectChunk); i < end; i += kSelectBlock) {
        uint8_t marks[kSelectBlock] = {};
        less += mark_block(x + i, std::min(kSelectBlock, end - i), low, high, open_low, open_high, marks);
        // Few are marked: eight are passed over at a time.
        for (int64_t j = 0; j < kSelectBlock; j += 8) {
          uint64_t eight;
          std::memcpy(&eight, marks + j, sizeof eight);
          if (eight == 0) continue;
          for (int64_t at = j; at < j + 8; ++at)
            if (marks[at]) kept.push_back({key_of(x[i + at], false), static_cast<uint32_t>(i + at)});
        }
      }
      below[static_cast<size_t>(c)] = less;
    }
  });
  for (const int64_t less : below) k -= less;
  std::vector<Keyed<K>> all;
  for (const auto& part : inside) all.insert(all.end(), part.begin(), part.end());
  if (k < 0 || k + count > static_cast<int64_t>(all.size())) return false;
  const auto place = all.begin() + k;
  std::nth_element(all.begin(), place, all.end());
  found[0] = *place;
  if (count > 1) found[1] = *std::min_element(place + 1, all.end());
  return true;
}

// found[i], i < count (1 or 2), is what stands at rank k + i of x. n is less than 2^32.
template <class T>
void select_ranks(const T* x, int64_t n, int64_t k, int count, Keyed<KeyOf<T>>* found,
                  SelectScratch<KeyOf<T>>& scratch) {
  if (n > kSelectFew) {
    const Bounds bounds = enclose(x, n, k);
    const KeyOf<T> low = key_of(x[std::max<int64_t>(bounds.low, 0)], false);
    const bool one_key =
        bounds.low >= 0 && (bounds.high < 0 ? is_nan_key<T>(low) : key_of(x[bounds.high], false) == low);
    bool done = one_key || select_between(x, n, k, count, bounds, found);
    for (int c = 0; c < count && one_key && done; ++c) done = select_equal(x, n, k + c, low, found + c);
    if (done) return;
  }
  select_few(x, n, k, count, found, scratch);
}

}  // namespace atled::core
