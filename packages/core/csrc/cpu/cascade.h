// How the parts of a row become its reduction: blocks of kRowBlock elements, the results of up to kChunk elements in
// pairs, and then those of all chunks. What is reduced in this way has the same bits wherever its elements come from.
#pragma once

#include <cstring>

#include "cpu/reduce.h"

namespace atled::core {

constexpr int64_t kChunk = 65536;  // elements of one output that one piece of work takes
constexpr int64_t kShort = 31;     // elements of a row that is not worth a start of its own
constexpr int64_t kPairings = 40;  // of one output's blocks: 2^40
constexpr int64_t kWidest = 24;    // bytes of an accumulator

// Results of consecutive blocks, paired like a binary counter counts.
class Cascade {
 public:
  Cascade(const ReduceLoops& loops, const void* r, int64_t m, char* storage)
      : loops_(loops), r_(r), m_(m), bytes_(m * loops.width), storage_(storage) {}

  // Where the next block's accumulators go, before push().
  char* next() { return storage_ + depth_ * bytes_; }
  void push() {
    ++depth_;
    for (uint64_t c = ++count_; (c & 1) == 0; c >>= 1) fold();
  }
  void clear() {
    depth_ = 0;
    count_ = 0;
  }
  // All blocks in one; valid until the next push.
  const char* total() {
    if (depth_ == 0) {
      loops_.start(r_, storage_, m_);
      depth_ = 1;
    }
    while (depth_ > 1) fold();
    return storage_;
  }

 private:
  void fold() {
    --depth_;
    loops_.merge(r_, storage_ + (depth_ - 1) * bytes_, storage_ + depth_ * bytes_, m_);
  }
  const ReduceLoops& loops_;
  const void* r_;
  int64_t m_, bytes_;
  char* storage_;
  int depth_ = 0;
  uint64_t count_ = 0;
};

// The accumulators of m <= kRowsAtOnce rows of one block each, `length` elements `item` bytes apart.
inline void reduce_short(const ReduceLoops& loops, const void* r, const char* in, int64_t row_stride, int64_t item,
                         int64_t length, int64_t m, char* sums) {
  if (loops.rows) return loops.rows(r, in, row_stride, length, m, sums);
  for (int64_t i = 0; i < m; ++i, in += row_stride) loops.row(r, in, item, length, sums + i * loops.width);
}

// An output's accumulators from those of its chunks, which lie one after the other in `partial`.
inline const char* join_chunks(const char* partial, int64_t chunks, int width, Cascade& sums) {
  for (; chunks > 0; --chunks, partial += width) {
    std::memcpy(sums.next(), partial, static_cast<size_t>(width));
    sums.push();
  }
  return sums.total();
}

}  // namespace atled::core
