#include "cpu/reduce.h"

#include <cstring>
#include <vector>

#include "cpu/cascade.h"
#include "cpu/fusion.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"

namespace atled::core {

namespace {

constexpr int64_t kTileBytes = 16384;  // accumulators of the outputs that are reduced together
constexpr int64_t kPieces = 16;        // that a reduction to few outputs is shared out in
constexpr int64_t kNarrow = 8;         // fewer columns are better read one by one
constexpr int64_t kWideTile = 256;     // outputs whose input is converted for them all at once
constexpr int64_t kSideBySide = 256;   // bytes of narrow columns' rows, of which several are taken as one

int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

struct Dims {
  int n = 0;
  int64_t size[ATLED_MAX_NDIM];
  int64_t in[ATLED_MAX_NDIM];   // strides in bytes, innermost first
  int64_t out[ATLED_MAX_NDIM];  // in elements

  void add(int64_t s, int64_t i, int64_t o) {
    if (s == 1) return;
    // Kept in order of the input's strides; joined where two are evenly spaced.
    int k = n++;
    for (; k > 0 && magnitude(in[k - 1]) > magnitude(i); --k) move(k - 1, k);
    size[k] = s;
    in[k] = i;
    out[k] = o;
  }
  void join() {
    int last = 0;
    for (int k = 1; k < n; ++k) {
      if (in[k] == in[last] * size[last] && out[k] == out[last] * size[last]) {
        size[last] *= size[k];
      } else {
        move(k, ++last);
      }
    }
    if (n > 0) n = last + 1;
  }
  void move(int from, int to) {
    size[to] = size[from];
    in[to] = in[from];
    out[to] = out[from];
  }
  int64_t total(int first = 0) const {
    int64_t product = 1;
    for (int k = first; k < n; ++k) product *= size[k];
    return product;
  }
  // The offsets of a flat index over the dimensions from `first` on.
  void locate(int64_t index, int first, int64_t* in_offset, int64_t* out_offset) const {
    for (int k = first; k < n; ++k) {
      const int64_t i = index % size[k];
      index /= size[k];
      *in_offset += i * in[k];
      *out_offset += i * out[k];
    }
  }
};

// Accumulators that a cascade over `blocks` blocks has at one time.
int64_t levels_of(int64_t blocks) {
  int64_t levels = 2;
  while (blocks >> (levels - 2)) ++levels;
  return levels;
}

class Reduction {
 public:
  Reduction(const atled_tensor* in, DimSet dims, const atled_tensor* out, const ReduceLoops& loops, const void* r)
      : Reduction(data<char>(in), itemsize(in->dtype), data<char>(out), itemsize(out->dtype), loops, r) {
    int64_t step = 1;
    for (int d = in->dl.ndim - 1; d >= 0; --d) {
      const bool gone = dims >> d & 1;
      (gone ? gone_ : kept_).add(in->dl.shape[d], in->dl.strides[d] * item_, gone ? 0 : step);
      if (!gone) step *= in->dl.shape[d];
    }
    join_dims();
  }
  // Of rows one after the other.
  Reduction(const char* in, int64_t item, int64_t rows, int64_t length, char* out, int64_t out_item,
            const ReduceLoops& loops, const void* r)
      : Reduction(in, item, out, out_item, loops, r) {
    gone_.add(length, item, 0);
    kept_.add(rows, length * item, 1);
    join_dims();
  }

  void run() {
    if (outputs_ == 0) return;
    if (kept_.n == 0 || length_ == 0) return rows();
    if (loops_.separate && gone_.n == 1 && gone_.in[0] == item_ && length_ <= kRowBlock &&
        (length_ > kShort || (loops_.rows && kept_.in[0] == length_ * item_)))
      return short_rows();
    // Short rows cost more to begin than to sum, so they are taken as columns, too.
    const int64_t first = magnitude(kept_.in[0]);
    const bool side_by_side = gone_.n == 0 || first < magnitude(gone_.in[0]);
    if (kept_.size[0] >= (fold_ > 1 ? 1 : kNarrow) && (side_by_side || length_ <= kColumnRows)) return columns(false);
    // Rows with outputs between them are taken as they lie in memory.
    if (loops_.separate && kept_.size[0] >= kNarrow && gone_.n > 1 && first < magnitude(gone_.in[1]))
      return columns(true);
    rows();
  }

 private:
  Reduction(const char* in, int64_t item, char* out, int64_t out_item, const ReduceLoops& loops, const void* r)
      : loops_(loops), r_(r), in_(in), out_(out), item_(item), out_item_(out_item) {}

  void join_dims() {
    kept_.join();
    gone_.join();
    outputs_ = kept_.total();
    length_ = gone_.total();
    if (loops_.separate && kept_.n > 0 && gone_.n > 0 && kept_.in[0] == item_ && gone_.in[0] == kept_.size[0] * item_)
      while (fold_ * gone_.in[0] < kSideBySide && 4 * fold_ <= gone_.size[0]) fold_ *= 2;
  }

  // Rows of one block each: no offsets to find, and many at a time.
  void short_rows() {
    const int64_t width = kept_.size[0], tiles = (width + kRowsAtOnce - 1) / kRowsAtOnce;
    parallel(kept_.total(1) * tiles, std::max<int64_t>(1, 32768 / (kRowsAtOnce * length_)),
             [&](int64_t begin, int64_t end) {
               alignas(16) char sums[kRowsAtOnce * kWidest];
               for (int64_t unit = begin; unit < end; ++unit) {
                 const int64_t first = unit % tiles * kRowsAtOnce, m = std::min(kRowsAtOnce, width - first);
                 int64_t in_offset = first * kept_.in[0], out_index = first * kept_.out[0];
                 kept_.locate(unit / tiles, 1, &in_offset, &out_index);
                 reduce_short(loops_, r_, in_ + in_offset, kept_.in[0], item_, length_, m, sums);
                 loops_.finish(r_, sums, out_ + out_index * out_item_, kept_.out[0] * out_item_, m);
               }
             });
  }

  // One output after the other.
  void rows() {
    const int64_t chunks = std::max<int64_t>((length_ + kChunk - 1) / kChunk, 1);
    std::vector<char> partial(chunks > 1 ? static_cast<size_t>(outputs_ * chunks * loops_.width) : 0);
    const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(std::min(length_, kChunk), 1));
    parallel(outputs_ * chunks, grain, [&](int64_t begin, int64_t end) {
      alignas(16) char storage[kPairings * kWidest];
      for (int64_t unit = begin; unit < end; ++unit) {
        int64_t in_offset = 0, out_index = 0;
        kept_.locate(unit / chunks, 0, &in_offset, &out_index);
        Cascade sums(loops_, r_, 1, storage);
        const int64_t from = unit % chunks * kChunk;
        row_range(in_ + in_offset, from, std::min(from + kChunk, length_), sums);
        if (chunks == 1) {
          loops_.finish(r_, sums.total(), out_ + out_index * out_item_, 0, 1);
        } else {
          std::memcpy(&partial[static_cast<size_t>(unit * loops_.width)], sums.total(),
                      static_cast<size_t>(loops_.width));
        }
      }
    });
    if (chunks == 1) return;
    parallel(outputs_, std::max<int64_t>(1, 4096 / chunks), [&](int64_t begin, int64_t end) {
      alignas(16) char storage[kPairings * kWidest];
      for (int64_t o = begin; o < end; ++o) {
        int64_t in_offset = 0, out_index = 0;
        kept_.locate(o, 0, &in_offset, &out_index);
        Cascade sums(loops_, r_, 1, storage);
        const char* total =
            join_chunks(&partial[static_cast<size_t>(o * chunks * loops_.width)], chunks, loops_.width, sums);
        loops_.finish(r_, total, out_ + out_index * out_item_, 0, 1);
      }
    });
  }

  // Elements [from, to) of one output, in the order of the dimensions that are reduced.
  void row_range(const char* base, int64_t from, int64_t to, Cascade& sums) const {
    const int64_t row = gone_.n ? gone_.size[0] : 1, stride = gone_.n ? gone_.in[0] : 0;
    while (from < to) {
      int64_t offset = 0, unused = 0;
      gone_.locate(from / row, 1, &offset, &unused);
      const int64_t i = from % row, end = std::min(row, i + (to - from));
      from += end - i;
      whole_row(base + offset + i * stride, end - i, sums);
    }
  }

  void whole_row(const char* base, int64_t n, Cascade& sums) const {
    const int64_t stride = gone_.n ? gone_.in[0] : 0;
    float wide[kRowBlock];
    for (int64_t i = 0; i < n; i += kRowBlock) {
      const int64_t part = std::min(kRowBlock, n - i);
      if (loops_.widen) {
        char* to = reinterpret_cast<char*>(wide);
        loops_.widen(to, sizeof(float), base + i * stride, stride, part);
        loops_.row(r_, to, sizeof(float), part, sums.next());
      } else {
        loops_.row(r_, base + i * stride, stride, part, sums.next());
      }
      sums.push();
    }
  }

  // Many outputs at once, side by side: columns of single elements, or of rows of the innermost dimension reduced.
  void columns(bool of_rows) {
    const int64_t width = kept_.size[0], step = kept_.out[0];
    const int64_t tile = std::min(width, loops_.widen ? kWideTile : kTileBytes / loops_.width);
    const int64_t tiles = (width + tile - 1) / tile, outer = kept_.total(1);
    const int64_t length = of_rows ? gone_.total(1) : length_, block = of_rows ? 1 : kColumnRows * fold_;
    const int64_t row = tile * (of_rows ? gone_.size[0] : 1);  // elements of one step
    // Only few tiles leave threads idle: then the steps are shared out as well.
    int64_t share = length;
    if (tiles * outer < kPieces) {
      share = std::max((length + kPieces - 1) / kPieces, kChunk / row);
      share = std::max<int64_t>(1, (share + block - 1) / block) * block;
    }
    const int64_t chunks = (length + share - 1) / share;
    const int64_t tile_bytes = tile * loops_.width, blocks = std::max(chunks, share);
    std::vector<char> partial(chunks > 1 ? static_cast<size_t>(outer * tiles * chunks * tile_bytes) : 0);
    const int64_t grain = std::max<int64_t>(1, 32768 / (std::min(length, share) * row));
    auto each_tile = [&](int64_t index, auto&& f) {
      const int64_t first = index % tiles * tile;
      int64_t in_offset = first * kept_.in[0], out_index = first * step;
      kept_.locate(index / tiles, 1, &in_offset, &out_index);
      f(in_offset, out_index, std::min(tile, width - first));
    };
    auto finish = [&](Cascade& sums, int64_t out_index, int64_t m) {
      loops_.finish(r_, sums.total(), out_ + out_index * out_item_, step * out_item_, m);
    };
    parallel(outer * tiles * chunks, grain, [&](int64_t begin, int64_t end) {
      Scratch<char> storage(tile_bytes * (levels_of(blocks) + fold_));
      Scratch<float> wide(loops_.widen && !of_rows ? tile * kColumnRows * fold_ : 0);
      for (int64_t unit = begin; unit < end; ++unit)
        each_tile(unit / chunks, [&](int64_t in_offset, int64_t out_index, int64_t m) {
          Cascade sums(loops_, r_, m, storage.data());
          const int64_t from = unit % chunks * share, to = std::min(from + share, length);
          of_rows ? row_columns(in_ + in_offset, from, to, m, sums)
                  : column_range(in_ + in_offset, from, to, m, sums, reinterpret_cast<char*>(wide.data()));
          if (chunks == 1) return finish(sums, out_index, m);
          std::memcpy(&partial[static_cast<size_t>(unit * tile_bytes)], sums.total(),
                      static_cast<size_t>(m * loops_.width));
        });
    });
    if (chunks == 1) return;
    parallel(outer * tiles, 1, [&](int64_t begin, int64_t end) {
      Scratch<char> storage(tile_bytes * levels_of(blocks));
      for (int64_t index = begin; index < end; ++index)
        each_tile(index, [&](int64_t, int64_t out_index, int64_t m) {
          Cascade sums(loops_, r_, m, storage.data());
          for (int64_t c = 0; c < chunks; ++c) {
            std::memcpy(sums.next(), &partial[static_cast<size_t>((index * chunks + c) * tile_bytes)],
                        static_cast<size_t>(m * loops_.width));
            sums.push();
          }
          finish(sums, out_index, m);
        });
    });
  }

  void column_range(const char* base, int64_t from, int64_t to, int64_t m, Cascade& sums, char* wide) const {
    const int64_t row = gone_.n ? gone_.size[0] : 1, stride = gone_.n ? gone_.in[0] : 0;
    while (from < to) {
      int64_t offset = 0, unused = 0;
      gone_.locate(from / row, 1, &offset, &unused);
      int64_t i = from % row;
      const int64_t end = std::min(row, i + (to - from));
      from += end - i;
      while (i < end) {
        // Narrow rows one after the other are a wide one, whose sums are then added up.
        const int64_t fold = end - i < fold_ ? 1 : fold_, steps = std::min(kColumnRows, (end - i) / fold);
        column_block(base + offset + i * stride, fold * stride, steps, fold * m, sums.next(), wide);
        for (int64_t half = fold / 2 * m; half >= m; half /= 2)
          loops_.merge(r_, sums.next(), sums.next() + half * loops_.width, half);
        sums.push();
        i += steps * fold;
      }
    }
  }

  void column_block(const char* in, int64_t stride, int64_t n, int64_t m, char* acc, char* wide) const {
    constexpr int64_t kItem = sizeof(float);
    const int64_t step = kept_.in[0];
    if (!loops_.widen) return loops_.columns(r_, in, stride, n, step, m, acc);
    if (stride == item_ && step == n * item_) {  // whole rows of the input
      loops_.widen(wide, kItem, in, item_, n * m);
      return loops_.columns(r_, wide, kItem, n, n * kItem, m, acc);
    }
    for (int64_t i = 0; i < n; ++i) loops_.widen(wide + i * m * kItem, kItem, in + i * stride, step, m);
    loops_.columns(r_, wide, m * kItem, n, kItem, m, acc);
  }

  void row_columns(const char* base, int64_t from, int64_t to, int64_t m, Cascade& sums) const {
    alignas(16) char storage[kPairings * kWidest];
    for (; from < to; ++from) {
      int64_t offset = 0, unused = 0;
      gone_.locate(from, 1, &offset, &unused);
      char* acc = sums.next();
      for (int64_t j = 0; j < m; ++j) {
        Cascade row(loops_, r_, 1, storage);
        whole_row(base + offset + j * kept_.in[0], gone_.size[0], row);
        std::memcpy(acc + j * loops_.width, row.total(), static_cast<size_t>(loops_.width));
      }
      sums.push();
    }
  }

  const ReduceLoops& loops_;
  const void* r_;
  const char* in_;
  char* out_;
  int64_t item_, out_item_;
  int64_t fold_ = 1;  // rows of columns that are taken as one
  Dims kept_, gone_;
  int64_t outputs_, length_;
};

}  // namespace

void reduce(const atled_tensor* in, DimSet dims, const atled_tensor* out, const ReduceLoops& loops, const void* r,
            size_t r_bytes) {
  if (__builtin_expect(thread_state.deferral != nullptr, 0))
    return thread_state.deferral->take(in, dims, out, loops, r, r_bytes);
  Reduction(in, dims, out, loops, r).run();
}

void reduce_rows(const char* in, int64_t item, int64_t rows, int64_t length, char* out, int64_t out_item,
                 const ReduceLoops& loops, const void* r) {
  Reduction(in, item, rows, length, out, out_item, loops, r).run();
}

int64_t reduced_length(const atled_tensor* in, DimSet dims) {
  int64_t n = 1;
  for (int d = 0; d < in->dl.ndim; ++d)
    if (dims >> d & 1) n *= in->dl.shape[d];
  return n;
}

}  // namespace atled::core
