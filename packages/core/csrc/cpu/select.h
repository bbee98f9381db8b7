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

#include "cpu/parallel.h"
#include "functors/copy.h"
#include "functors/order.h"

namespace atled::core {

constexpr int64_t kSelectFew = 16384;    // so many elements are put into order as they are
constexpr int64_t kSelectChunk = 16384;  // elements of a pass that one thread does at a time
constexpr int64_t kSelectBlock = 64;     // elements that vector code compares at a time

// Calls f with the Tag of a dtype that has an order.
template <class F>
void visit_real(int dtype, F&& f) {
  visit_dtype(dtype, [&](auto tag) {
    if constexpr (!is_complex_type<typename decltype(tag)::type>) f(tag);
  });
}

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

// Puts the item of rank k where it belongs, and none behind it that is less. All items differ.
template <class I>
void place_rank(I* items, int64_t n, int64_t k) {
  // Each round leaves about half; bad luck with pivots is left to the library.
  for (int rounds = 0; n > 16; ++rounds) {
    if (rounds == 64) return std::nth_element(items, items + k, items + n);
    auto middle = [&](int64_t a, int64_t b, int64_t c) {
      const bool ab = items[a] < items[b], bc = items[b] < items[c], ac = items[a] < items[c];
      return ab == bc ? b : ab == ac ? c : a;
    };
    const int64_t part = n / 4, at = middle(middle(0, 1, 2), middle(2 * part - 1, 2 * part, 2 * part + 1),
                                            middle(n - 3, n - 2, n - 1));
    const I pivot = items[at];
    items[at] = items[n - 1];
    items[n - 1] = pivot;
    // Always swapped, and kept by moving on: no branch to mispredict.
    int64_t less = 0;
    for (int64_t i = 0; i + 1 < n; ++i) {
      const I item = items[i];
      items[i] = items[less];
      items[less] = item;
      less += item < pivot;
    }
    items[n - 1] = items[less];
    items[less] = pivot;
    if (k == less) return;
    if (k < less) {
      n = less;
    } else {
      items += less + 1;
      n -= less + 1;
      k -= less + 1;
    }
  }
  std::sort(items, items + n);
}

// found[i] becomes the index of what is at rank k + i among the items, for i < count (1 or 2).
template <class I>
void find_ranks(I* items, int64_t n, int64_t k, int count, int64_t* found) {
  place_rank(items, n, k);
  found[0] = index_of(items[k]);
  if (count > 1) found[1] = index_of(*std::min_element(items + k + 1, items + n));
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
  std::vector<Item<KeyOf<T>>> sample(static_cast<size_t>(count));
  // One element of each of `count` equal stretches, at places that follow no pattern (multiplicative hashing).
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t hash = static_cast<uint64_t>(i + 1) * 0x9E3779B97F4A7C15u;
    const int64_t at = i * width + static_cast<int64_t>(hash >> 32) % width;
    sample[static_cast<size_t>(i)] = item_of(key_of(x[at], false), at);
  }
  auto at = [&](double rank) -> int64_t {
    // Near an end the sample may lack the extremes.
    if (!(rank >= 0 && rank < static_cast<double>(count))) return -1;
    int64_t found = 0;
    find_ranks(sample.data(), count, static_cast<int64_t>(rank), 1, &found);
    return found;
  };
  // Four standard deviations of the rank in the sample.
  const double margin = 4 * std::sqrt(size * part * (1 - part)) + 2;
  const Bounds bounds{at(part * size - margin), at(part * size + margin)};
  return {bounds.low, bounds.high < 0 || is_nan_key<T>(key_of(x[bounds.high], false)) ? -1 : bounds.high};
}

// The element at rank k, if its key is this one; false when it is not.
template <class T>
bool select_equal(const T* x, int64_t n, int64_t k, KeyOf<T> key, int64_t* found) {
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
    *found = i;
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
bool select_between(const T* x, int64_t n, int64_t k, int count, Bounds bounds, int64_t* found) {
  using I = Item<KeyOf<T>>;
  const int64_t chunks = (n + kSelectChunk - 1) / kSelectChunk;
  std::vector<std::vector<I>> inside(static_cast<size_t>(chunks));
  std::vector<int64_t> below(static_cast<size_t>(chunks));
  const bool open_low = bounds.low < 0, open_high = bounds.high < 0;
  const auto low = comparable(x[open_low ? 0 : bounds.low]), high = comparable(x[open_high ? 0 : bounds.high]);
  parallel(chunks, 1, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      std::vector<I>& kept = inside[static_cast<size_t>(c)];
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
            if (marks[at]) kept.push_back(item_of(key_of(x[i + at], false), i + at));
        }
      }
      below[static_cast<size_t>(c)] = less;
    }
  });
  for (const int64_t less : below) k -= less;
  std::vector<I>& all = inside[0];
  for (size_t c = 1; c < inside.size(); ++c) all.insert(all.end(), inside[c].begin(), inside[c].end());
  const int64_t size = static_cast<int64_t>(all.size());
  if (k < 0 || k + count > size) return false;
  find_ranks(all.data(), size, k, count, found);
  return true;
}

// found[i], i < count (1 or 2), is the index of what stands at rank k + i of x. n is less than 2^32; `room` is memory
// that one line after another uses.
template <class T>
void select_ranks(const T* x, int64_t n, int64_t k, int count, int64_t* found, std::vector<Item<KeyOf<T>>>& room) {
  if (n > kSelectFew) {
    const Bounds bounds = enclose(x, n, k);
    const KeyOf<T> low = key_of(x[std::max<int64_t>(bounds.low, 0)], false);
    const bool one_key =
        bounds.low >= 0 && (bounds.high < 0 ? is_nan_key<T>(low) : key_of(x[bounds.high], false) == low);
    bool done = one_key || select_between(x, n, k, count, bounds, found);
    for (int c = 0; c < count && one_key && done; ++c) done = select_equal(x, n, k + c, low, found + c);
    if (done) return;
  }
  room.resize(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) room[static_cast<size_t>(i)] = item_of(key_of(x[i], false), i);
  find_ranks(room.data(), n, k, count, found);
}

}  // namespace atled::core
