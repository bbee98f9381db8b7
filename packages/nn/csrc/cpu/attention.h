// The operands of fused attention, as the CPU's kernels take them, and the scores of a block.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "cpu/kernel.h"

namespace atled::nn {

constexpr int64_t kBlockKeys = 64;
// Queries of a head that are attended to one after the other: a block has a query in each lane.
constexpr int64_t kFewQueries = 4;

// How many units of so many multiplications each a thread takes at once.
inline int64_t grain_of(int64_t work) { return std::max<int64_t>(1, (1 << 18) / std::max<int64_t>(1, work)); }

// A thread's intermediate numbers: some arrays, from the caching allocator.
using Pieces = std::vector<int64_t>;  // how many numbers each has
template <class T>
class Room {
 public:
  explicit Room(const Pieces& pieces) {
    for (int64_t n : pieces) {
      begins_.push_back(size_);
      size_ += (n + kLine - 1) / kLine * kLine;
    }
    if (size_) check(alloc_group->allocate(DLDevice{kDLCPU, 0}, bytes(), &memory_));
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  ~Room() {
    if (memory_) alloc_group->free(DLDevice{kDLCPU, 0}, memory_, bytes());
  }
  T* operator[](size_t piece) const { return static_cast<T*>(memory_) + begins_[piece]; }

 private:
  static constexpr int64_t kLine = 64 / sizeof(T);  // of the cache
  size_t bytes() const { return static_cast<size_t>(size_) * sizeof(T); }
  std::vector<int64_t> begins_;
  int64_t size_ = 0;
  void* memory_ = nullptr;
};

// Rows of numbers, `step` elements apart.
template <class T>
struct Lines {
  const T* data;
  int64_t step;
};

// (B, H, L, E) with features side by side.
template <class S>
struct HeadLines {
  Tensor owner;
  int64_t batch, head, row;

  explicit HeadLines(atled_tensor* t)
      : owner(t->dl.strides[3] == 1 || t->dl.shape[3] <= 1 ? Tensor::borrow(t) : contiguous(t)),
        batch(owner->dl.strides[0]),
        head(owner->dl.strides[1]),
        row(owner->dl.strides[2]) {}
  const S* at(int64_t b, int64_t h, int64_t r) const { return data<const S>(owner) + b * batch + h * head + r * row; }
};

// Rows in T, with zeros up to `width`: where they lie if they are such, not far from each other, or else in room.
template <class S, class T>
Lines<T> taken(const S* x, int64_t step, int64_t n, int64_t size, int64_t width, T* room) {
  if constexpr (std::is_same_v<S, T>)
    if (width == size && step <= 2 * size) return {x, step};
  ATLED_PICK(take_rows<S, T>)(x, step, n, size, room, width);
  return {room, width};
}

// query, key, value and bias are the arguments from `first` on; `causal` is is_causal's place, before that of scale.
template <class S>
struct HeadOperands {
  using T = Wide<S>;

  HeadOperands(const atled_frame* f, int first, int causal)
      : query(arg_tensor(f, first)),
        key(arg_tensor(f, first + 1)),
        value(arg_tensor(f, first + 2)),
        batches(query.owner->dl.shape[0]),
        heads(query.owner->dl.shape[1]),
        shared(key.owner->dl.shape[1] ? heads / key.owner->dl.shape[1] : 1),
        length(query.owner->dl.shape[2]),
        keys(key.owner->dl.shape[2]),
        size(key.owner->dl.shape[3]),
        value_size(value.owner->dl.shape[3]),
        causal(arg_bool(f, causal)),
        scale(static_cast<T>(arg_double(f, causal + 1))),
        lanes(ATLED_PICK(kLanes<T>)),
        bias(arg_tensor(f, first + 3)) {
    for (int d = 0; bias && d < bias->dl.ndim; ++d)
      if (bias->dl.shape[d] != 1) bias_steps[4 - bias->dl.ndim + d] = bias->dl.strides[d];
    if (length == 1 && !this->causal) fold();
    const int64_t blocks = std::max<int64_t>(1, (length + kMostQueries - 1) / kMostQueries);
    block = padded((length + blocks - 1) / blocks, 2 * lanes);
  }

  // Single queries of the heads that share one of key are neighbouring queries of that head.
  void fold() {
    heads /= shared;
    length = shared;
    folded = shared;
    shared = 1;
    bias_steps[2] = bias_steps[1];
    bias_steps[1] *= folded;
    by_query(query);
  }
  // What has query's shape, in the same way.
  void by_query(HeadLines<S>& lines) const {
    if (folded == 0) return;
    lines.row = lines.head;
    lines.head *= folded;
  }

  static int64_t padded(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
  int64_t padded(int64_t n) const { return padded(n, lanes); }
  int64_t query_blocks() const { return (length + block - 1) / block; }
  // The keys [0, end) that some of n queries from `first` on see.
  int64_t keys_seen(int64_t first, int64_t n) const { return causal ? std::min(keys, first + n) : keys; }

  struct Block {
    int64_t batch, head, query, queries, key, keys;  // the first of each and how many
  };
  // Whether some queries of a block do not see all its keys.
  bool at_border(const Block& b) const { return causal && b.key + b.keys - 1 > b.query; }
  // Calls f(j, n, seen) for strips [j, j + n) of a block's `all` queries, and how many of its keys these see.
  template <class F>
  void each_strip(const Block& b, int64_t all, F&& f) const {
    if (!at_border(b)) return f(int64_t{0}, all, b.keys);
    for (int64_t j = 0; j < all; j += 2 * lanes) {
      const int64_t n = std::min(2 * lanes, all - j);
      f(j, n, std::clamp<int64_t>(b.query + j + n - b.key, 0, b.keys));
    }
  }

  // Calls f(k, n, from) for groups [k, k + n) of a block's keys, and the first of its queries that sees these.
  template <class F>
  void each_group(const Block& b, F&& f) const {
    if (!at_border(b)) return f(int64_t{0}, b.keys, int64_t{0});
    constexpr int64_t kGroup = 12;  // a multiple of each level's kTileRows
    for (int64_t k = 0; k < b.keys; k += kGroup)
      f(k, std::min(kGroup, b.keys - k), std::clamp<int64_t>(b.key + k - b.query, 0, b.queries));
  }

  // The block of queries [first, first + n) and keys from `key` on.
  Block block_of(int64_t b, int64_t h, int64_t first, int64_t n, int64_t key, int64_t most) const {
    return {b, h, first, n, key, std::min(most, keys_seen(first, n) - key)};
  }

  // Scores of a block times Powers::kUnit, `block` from key to key; `turned` has the queries as columns, scaled.
  void scores(const Block& b, Lines<T> rows, const T* turned, T* to) const {
    const int64_t all = padded(b.queries);
    const auto multiply = ATLED_PICK(multiply<T, false>);
    each_strip(b, all, [&](int64_t j, int64_t n, int64_t seen) {
      multiply(Into::kSet, rows.data, rows.step, turned + j, block, size, to + j, block, seen, n, nullptr);
    });
    if (at_border(b))
      for (int64_t k = std::max<int64_t>(0, b.query + 1 - b.key); k < b.keys; ++k)
        std::fill_n(to + k * block, std::min(all, b.key + k - b.query), -std::numeric_limits<T>::infinity());
    if (bias) add_bias(b, to, block);
  }
  void add_bias(const Block& b, T* to, int64_t step) const {
    const int64_t *s = bias_steps, at = b.batch * s[0] + b.head * s[1] + b.query * s[2] + b.key * s[3];
    const int64_t by_query = step == 1 ? 1 : s[2];  // of one query, keys lie side by side
    if (bias->dtype == ATLED_BOOL)
      ATLED_PICK(hide<T>)(to, step, b.keys, b.queries, data<const uint8_t>(bias) + at, by_query, s[3]);
    else
      ATLED_PICK(add_bias<T>)(to, step, b.keys, b.queries, data<const T>(bias) + at, by_query, s[3], Powers<T>::kUnit);
  }

  HeadLines<S> query, key, value;
  int64_t batches, heads, shared;  // of query; of query for each of key
  int64_t length, keys, size, value_size;
  bool causal;
  T scale;
  int64_t lanes;
  int64_t block = 0;  // queries of a block
  atled_tensor* bias;
  int64_t bias_steps[4] = {};
  int64_t folded = 0;  // heads that are queries instead
};

}  // namespace atled::nn
