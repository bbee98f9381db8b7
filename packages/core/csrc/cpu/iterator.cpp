#include "cpu/iterator.h"

#include <algorithm>
#include <cstring>

#include "cpu/assign.h"
#include "cpu/cast.h"
#include "cpu/fusion.h"
#include "cpu/parallel.h"
#include "cpu/past_cache.h"
#include "cpu/short_rows.h"
#include "cpu/transpose.h"
#include "dispatch/thread_state.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

constexpr int kMax = Elementwise::kMaxOperands;
constexpr int64_t kBlockBytes = 4096;  // of each operand that is converted; all of them stay in the L1 cache
constexpr int64_t kShortRow = 32;
constexpr int64_t kJoinedRow = 256;  // shorter rows are converted several at a time
constexpr int64_t kTinyRow = 8;
constexpr int64_t kFewRows = 4;
// Of rows of fewer bytes, operands are brought together for the loop: what is the same in each row, or all along one.
constexpr int64_t kSameRow = 512, kColumnRow = 256;
constexpr int64_t kTile = 64;  // a side of the squares that transposed operands are read in
constexpr int kTurned = 2;     // operands that are turned square by square; more are read as they lie
constexpr int64_t kTurnedBytes = 16384;

int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

// Runs the loop block by block into the cache, and writes its one output, whose elements lie side by side, past it.
void run_streamed(atled_loop loop, void* ctx, int count, char* const* from, const int64_t* strides, int64_t n) {
  alignas(64) char block[kBlockBytes];
  char* data[kMax];
  std::copy(from, from + count, data);
  char* out = data[0];
  // The first block ends where a line does.
  int64_t room = kBlockBytes - static_cast<int64_t>(reinterpret_cast<uintptr_t>(out) % kCacheLine);
  while (n > 0) {
    const int64_t m = std::min(n, room / strides[0]);
    data[0] = block;
    loop(ctx, data, strides, m);
    copy_past_cache(out, block, m * strides[0]);
    out += m * strides[0];
    for (int k = 1; k < count; ++k) data[k] += m * strides[k];
    n -= m;
    room = kBlockBytes;
  }
}

}  // namespace

// The dimensions left after dropping, reordering and joining, innermost first, and what the loop needs to go along
// them.
class Walk {
 public:
  Walk(const Elementwise& e, char (*numbers)[16], RowsLoop rows)
      : count_(e.count_), outputs_(e.outputs_), anchors_(e.anchors_), casts_(false), rows_(rows) {
    const DLTensor& out = e.operands_[0].tensor->dl;
    for (int d = out.ndim - 1; d >= 0; --d)
      if (out.shape[d] != 1) {
        place_[ndim_] = d;
        sizes_[ndim_++] = out.shape[d];
      }
    for (int k = 0; k < count_; ++k) set_operand(k, e.operands_[k], out, numbers[k]);
    sort();
    join();
    total_ = 1;
    for (int j = 0; j < ndim_; ++j) total_ *= sizes_[j];
    if (ndim_ == 0) {
      ndim_ = 1;
      sizes_[0] = 1;
      for (int k = 0; k < count_; ++k) strides_[k][0] = 0;
    }
    plan_tiles();
    if (casts_) plan_blocks();
    streams_ = outputs_ == 1 && !casts_ && !(anchors_ & 1) && tile_ == 0 && strides_[0][0] == itemsize(dtype_[0]) &&
               sizes_[0] * strides_[0][0] >= 2 * kBlockBytes && total_ * strides_[0][0] >= past_cache_limit() &&
               std::find(data_ + 1, data_ + count_, data_[0]) == data_ + count_;
    block_ = kBlockBytes;
    for (int k = 0; k < count_; ++k) block_ = std::min(block_, kBlockBytes / itemsize(loop_dtype_[k]));
    plan_gathers();
  }

  // Runs the loop everywhere, spread over threads.
  void run(atled_loop loop, void* ctx, int64_t grain) const {
    if (tile_ == 0) return parallel(total_, grain, [&](int64_t begin, int64_t end) { range(loop, ctx, begin, end); });
    const int64_t bands = (sizes_[1] + tile_ - 1) / tile_, per_band = sizes_[0] * std::min(tile_, sizes_[1]);
    parallel(total_ / (sizes_[0] * sizes_[1]) * bands, std::max<int64_t>(1, grain / per_band),
             [&](int64_t begin, int64_t end) {
               for (int64_t unit = begin; unit < end; ++unit) band(loop, ctx, unit / bands, unit % bands * tile_);
             });
  }

  void range(atled_loop loop, void* ctx, int64_t begin, int64_t end) const {
    int64_t index[ATLED_MAX_NDIM];
    int64_t rest = begin;
    for (int j = 0; j < ndim_; ++j) {
      index[j] = rest % sizes_[j];
      rest /= sizes_[j];
    }
    if (casts_) {
      convert_range(loop, ctx, index, end - begin);
    } else {
      plain_range(loop, ctx, index, end - begin);
    }
  }

 private:
  // Two kinds of walk go along squares of the first two dimensions: where an input's memory runs along another
  // dimension than the output's (a transpose), so that what a cache line holds is used while it is there; and where
  // rows are short, with the loop along the second dimension.
  void plan_tiles() {
    tile_ = 0;
    if (casts_ || ndim_ < 2 || total_ < 1024) return;
    const bool by_rows = rows_ && !anchors_ && sizes_[0] * itemsize(dtype_[0]) >= kTinyRow;
    if (sizes_[0] < kTinyRow && !by_rows) {
      across_ = true;
      if (sizes_[1] >= kTile) tile_ = 8 * kTile;
      return;
    }
    if (sizes_[0] < kShortRow) return;
    for (int k = outputs_; k < count_; ++k) {
      int along = 0;
      for (int j = 1; j < ndim_; ++j)
        if (strides_[k][j] != 0 && sizes_[j] >= kShortRow && magnitude(strides_[k][j]) < magnitude(strides_[k][along]))
          along = j;
      if (along == 0) continue;
      if (along != 1) exchange(1, along);
      tile_ = kTile;
      break;
    }
    if (tile_ == 0) return;
    for (int k = outputs_; k < count_; ++k)
      if (itemsize(dtype_[k]) > 4) tile_ = kTile / 2;
    for (int k = outputs_; k < count_ && turned_ < kTurned; ++k) {
      const int64_t item = itemsize(dtype_[k]);
      const int64_t inner = magnitude(strides_[k][0]);
      if (magnitude(strides_[k][1]) == item && inner != item && inner != 0 && !(anchors_ >> k & 1))
        turns_[turned_++] = k;
    }
  }

  // How operands lie that are converted in blocks: evenly, so that a block of them is one piece, or the same in each
  // row.
  void plan_blocks() {
    for (int k = 0; k < count_; ++k) {
      bool even = true, repeats = true;
      for (int j = 1; j < ndim_; ++j) {
        even &= strides_[k][j] == strides_[k][j - 1] * sizes_[j - 1];
        repeats &= strides_[k][j] == 0;
      }
      if (even) even_ |= uint32_t{1} << k;
      if (repeats) repeats_ |= uint32_t{1} << k;
    }
  }

  // Short rows that are together in the outputs can be brought together in inputs that are repeated.
  void plan_gathers() {
    if (casts_ || anchors_ || rows_ || tile_ != 0 || ndim_ < 2 || sizes_[1] < kFewRows) return;
    const int64_t row = sizes_[0] * strides_[0][0];
    for (int k = 0; k < count_; ++k) {
      const int64_t item = itemsize(dtype_[k]);
      const bool even = strides_[k][1] == strides_[k][0] * sizes_[0];
      if (even && (strides_[k][0] == item || strides_[k][0] == 0)) continue;
      const bool same = strides_[k][1] == 0, column = strides_[k][0] == 0;
      if (k < outputs_ || !(same || column) || row >= (same ? kSameRow : kColumnRow)) return void(gathered_ = 0);
      gathered_ |= uint32_t{1} << k;
    }
  }

  void exchange(int a, int b) {
    std::swap(sizes_[a], sizes_[b]);
    for (int k = 0; k < count_; ++k) std::swap(strides_[k][a], strides_[k][b]);
  }

  // Rows [first, first + tile) of the second dimension, at one place of the dimensions beyond.
  void band(atled_loop loop, void* ctx, int64_t outer, int64_t first) const {
    char* base[kMax];
    int64_t strides[kMax];
    for (int k = 0; k < count_; ++k) {
      base[k] = data_[k] + first * strides_[k][1];
      strides[k] = strides_[k][across_ ? 1 : 0];
    }
    for (int j = 2; j < ndim_; ++j) {
      const int64_t i = outer % sizes_[j];
      outer /= sizes_[j];
      for (int k = 0; k < count_; ++k) base[k] += i * strides_[k][j];
    }
    if (across_) return across(loop, ctx, base, strides, std::min(tile_, sizes_[1] - first));
    squares(loop, ctx, base, strides, std::min(tile_, sizes_[1] - first));
  }

  void across(atled_loop loop, void* ctx, char* const* base, const int64_t* strides, int64_t n) const {
    char* data[kMax];
    for (int64_t i = 0; i < sizes_[0]; ++i) {
      for (int k = 0; k < count_; ++k) data[k] = base[k] + i * strides_[k][0];
      loop(ctx, data, strides, n);
    }
  }

  // Square after square along the first dimension. Inputs whose memory runs along the second are turned on the way.
  void squares(atled_loop loop, void* ctx, char* const* base, const int64_t* strides, int64_t rows) const {
    alignas(64) char turned[kTurned][kTurnedBytes];
    char* data[kMax];
    int64_t steps[kMax], along[kMax];
    for (int k = 0; k < count_; ++k) {
      along[k] = strides[k];
      steps[k] = strides_[k][1];
    }
    for (int t = 0; t < turned_; ++t) {
      along[turns_[t]] = itemsize(dtype_[turns_[t]]);
      steps[turns_[t]] = along[turns_[t]] * tile_;
    }
    for (int64_t column = 0; column < sizes_[0]; column += tile_) {
      const int64_t columns = std::min(tile_, sizes_[0] - column);
      for (int k = 0; k < count_; ++k) data[k] = base[k] + column * strides_[k][0];
      for (int t = 0; t < turned_; ++t) {
        const int k = turns_[t];
        const int item = static_cast<int>(along[k]);
        if (strides_[k][1] > 0)
          transpose(turned[t], steps[k], data[k], strides_[k][0], rows, columns, item);
        else  // from its last row on, backwards
          transpose(turned[t] + (rows - 1) * steps[k], -steps[k], data[k] - (rows - 1) * item, strides_[k][0], rows,
                    columns, item);
        data[k] = turned[t];
      }
      for (int64_t i = 0; i < rows; ++i) {
        loop(ctx, data, along, columns);
        for (int k = 0; k < count_; ++k) data[k] += steps[k];
      }
    }
  }

  void set_operand(int k, const Elementwise::Operand& o, const DLTensor& out, char* number) {
    loop_dtype_[k] = o.dtype;
    dtype_[k] = o.dtype;
    data_[k] = o.data;
    const bool fixed = !o.tensor || (k >= outputs_ && numel(o.tensor) == 1);
    if (fixed) {
      for (int j = 0; j < ndim_; ++j) strides_[k][j] = 0;
      if (o.tensor && o.tensor->dtype != o.dtype) {
        cast_loop(o.tensor->dtype, o.dtype)(number, 0, o.data, 0, 1);
        data_[k] = number;
      }
      return;
    }
    const DLTensor& t = o.tensor->dl;
    dtype_[k] = o.tensor->dtype;
    casts_ |= dtype_[k] != loop_dtype_[k];
    const int shift = out.ndim - t.ndim;
    const int64_t item = itemsize(dtype_[k]);
    for (int j = 0; j < ndim_; ++j) {
      const int d = place_[j] - shift;
      strides_[k][j] = d < 0 || t.shape[d] == 1 ? 0 : t.strides[d] * item;
    }
  }

  // Innermost where the strides are smallest; the first operand that tells two dimensions apart decides.
  bool inside(int a, int b) const {
    for (int k = 0; k < count_; ++k) {
      const int64_t sa = magnitude(strides_[k][a]), sb = magnitude(strides_[k][b]);
      if (sa == 0 || sb == 0 || sa == sb) continue;
      return sa < sb;
    }
    return false;
  }

  void sort() {
    for (int i = 1; i < ndim_; ++i)
      for (int j = i; j > 0 && inside(j, j - 1); --j) {
        std::swap(sizes_[j], sizes_[j - 1]);
        for (int k = 0; k < count_; ++k) std::swap(strides_[k][j], strides_[k][j - 1]);
      }
  }

  void join() {
    if (ndim_ == 0) return;
    int last = 0;
    for (int j = 1; j < ndim_; ++j) {
      bool joins = true;
      for (int k = 0; k < count_ && joins; ++k) joins = strides_[k][j] == strides_[k][last] * sizes_[last];
      if (joins) {
        sizes_[last] *= sizes_[j];
        continue;
      }
      ++last;
      sizes_[last] = sizes_[j];
      for (int k = 0; k < count_; ++k) strides_[k][last] = strides_[k][j];
    }
    ndim_ = last + 1;
  }

  char* at(int k, const int64_t* index) const {
    char* p = data_[k];
    for (int j = 0; j < ndim_; ++j) p += index[j] * strides_[k][j];
    return p;
  }

  // Moves the index on by n elements, which must not leave the row.
  void step(int64_t* index, int64_t n) const {
    index[0] += n;
    for (int j = 0; j + 1 < ndim_ && index[j] == sizes_[j]; ++j) {
      index[j] = 0;
      ++index[j + 1];
    }
  }

  void plain_range(atled_loop loop, void* ctx, int64_t* index, int64_t left) const {
    char* data[kMax];
    int64_t strides[kMax];
    for (int k = 0; k < count_; ++k) {
      strides[k] = strides_[k][0];
      data[k] = at(k, index);
    }
    while (left > 0) {
      // Whole rows, but the last of its dimension, need no carry.
      if (index[0] == 0 && !streams_ && ndim_ > 1) {
        const int64_t rows = std::min(left / sizes_[0], sizes_[1] - 1 - index[1]);
        whole_rows(loop, ctx, data, strides, rows);
        index[1] += rows;
        left -= rows * sizes_[0];
        if (left == 0) break;
      }
      const int64_t n = std::min(left, sizes_[0] - index[0]);
      if (streams_) {
        run_streamed(loop, ctx, count_, data, strides, n);
      } else {
        loop(ctx, data, strides, n);
      }
      left -= n;
      if (left == 0) break;
      // The carry moves the pointers along with the index.
      const int64_t begun = index[0];
      index[0] = 0;
      for (int k = 0; k < count_; ++k) data[k] -= begun * strides[k];
      for (int j = 1; j < ndim_; ++j) {
        for (int k = 0; k < count_; ++k) data[k] += strides_[k][j];
        if (++index[j] < sizes_[j]) break;
        for (int k = 0; k < count_; ++k) data[k] -= sizes_[j] * strides_[k][j];
        index[j] = 0;
      }
    }
    if (streams_) past_cache_end();
  }

  // Rows that begin at data, which goes on by as many.
  void whole_rows(atled_loop loop, void* ctx, char** data, const int64_t* strides, int64_t rows) const {
    if (rows_) {
      int64_t steps[kMax];
      for (int k = 0; k < count_; ++k) steps[k] = strides_[k][1];
      rows_(ctx, data, strides, steps, sizes_[0], rows);
      for (int k = 0; k < count_; ++k) data[k] += rows * steps[k];
    } else if (gathered_) {
      gathered_rows(loop, ctx, data, rows);
    } else {
      for (int64_t r = 0; r < rows; ++r) {
        loop(ctx, data, strides, sizes_[0]);
        for (int k = 0; k < count_; ++k) data[k] += strides_[k][1];
      }
    }
  }

  void gathered_rows(atled_loop loop, void* ctx, char** data, int64_t rows) const {
    alignas(64) char buffers[kMax][kBlockBytes];
    const int64_t n = sizes_[0];
    int64_t strides[kMax], filled = 0;
    char* from[kMax];
    for (int k = 0; k < count_; ++k) strides[k] = gathered_ >> k & 1 ? itemsize(dtype_[k]) : strides_[k][0];
    while (rows > 0) {
      const int64_t some = std::min(rows, block_ / n);
      for (int k = 0; k < count_; ++k) {
        from[k] = data[k];
        if (!(gathered_ >> k & 1)) continue;
        from[k] = buffers[k];
        if (strides_[k][1] != 0 || filled == 0)
          copy_rows(buffers[k], n * strides[k], data[k], strides_[k][0], strides_[k][1], n, some,
                    static_cast<int>(strides[k]));
      }
      loop(ctx, from, strides, n * some);
      for (int k = 0; k < count_; ++k) data[k] += some * strides_[k][1];
      rows -= some;
      filled = some;
    }
  }

  void convert_range(atled_loop loop, void* ctx, int64_t* index, int64_t left) const {
    alignas(64) char buffers[kMax][kBlockBytes];
    const bool rows = ndim_ > 1 && sizes_[0] < kJoinedRow && !anchors_;
    // Blocks of whole rows all begin at the same place of a row.
    const int64_t block = rows ? block_ / sizes_[0] * sizes_[0] : block_;
    char* data[kMax];
    int64_t strides[kMax];
    uint32_t filled = 0;
    while (left > 0) {
      const int64_t n = std::min({left, block, rows ? left : sizes_[0] - index[0]});
      for (int k = 0; k < count_; ++k) {
        if (filled >> k & 1) continue;
        const bool in_place = !rows || even_ >> k & 1 || (strides_[k][0] == 0 && !varies(k));
        if (in_place && dtype_[k] == loop_dtype_[k]) {
          data[k] = at(k, index);
          strides[k] = strides_[k][0];
          continue;
        }
        data[k] = buffers[k];
        strides[k] = itemsize(loop_dtype_[k]);
        if (k < outputs_) continue;
        transfer(k, index, n, buffers[k], true);
        if (rows && repeats_ >> k & 1) filled |= uint32_t{1} << k;
      }
      loop(ctx, data, strides, n);
      for (int k = 0; k < outputs_; ++k)
        if (data[k] == buffers[k]) transfer(k, index, n, buffers[k], false);
      left -= n;
      advance(index, n);
    }
  }

  bool varies(int k) const {
    for (int j = 0; j < ndim_; ++j)
      if (strides_[k][j] != 0) return true;
    return false;
  }

  // How many whole rows of the second dimension are ahead of the index, in n elements.
  int64_t rows_ahead(const int64_t* index, int64_t n) const {
    return index[0] == 0 && ndim_ > 1 ? std::min(n / sizes_[0], sizes_[1] - index[1]) : 0;
  }
  void step_rows(int64_t* index, int64_t rows) const {
    index[1] += rows - 1;
    step(index, sizes_[0]);
  }

  void advance(int64_t* index, int64_t n) const {
    while (n > 0) {
      const int64_t rows = rows_ahead(index, n), part = rows > 0 ? rows * sizes_[0] : std::min(n, sizes_[0] - index[0]);
      if (rows > 0)
        step_rows(index, rows);
      else
        step(index, part);
      n -= part;
    }
  }

  // Copies n elements of an operand into its buffer or back, row by row, converting them.
  void transfer(int k, const int64_t* from, int64_t n, char* buffer, bool in) const {
    const CastLoop cast = in ? cast_loop(dtype_[k], loop_dtype_[k]) : cast_loop(loop_dtype_[k], dtype_[k]);
    const int64_t item = itemsize(loop_dtype_[k]), stride = strides_[k][0];
    int64_t index[ATLED_MAX_NDIM];
    std::copy(from, from + ndim_, index);
    const bool copies = in && dtype_[k] == loop_dtype_[k];
    while (n > 0) {
      if (const int64_t rows = copies ? rows_ahead(index, n) : 0; rows > 0) {
        copy_rows(buffer, sizes_[0] * item, at(k, index), stride, strides_[k][1], sizes_[0], rows,
                  static_cast<int>(item));
        buffer += rows * sizes_[0] * item;
        n -= rows * sizes_[0];
        step_rows(index, rows);
        continue;
      }
      const int64_t part = even_ >> k & 1 ? n : std::min(n, sizes_[0] - index[0]);
      char* p = at(k, index);
      if (in) {
        cast(buffer, item, p, stride, part);
      } else {
        cast(p, stride, buffer, item, part);
      }
      buffer += part * item;
      n -= part;
      if (n > 0) step(index, part);
    }
  }

  int count_, outputs_, ndim_ = 0;
  uint32_t anchors_;
  bool casts_;
  bool streams_ = false;             // see run_streamed
  bool across_ = false;              // the loop goes along the second dimension
  uint32_t even_ = 0, repeats_ = 0;  // see plan_blocks; a bit for each operand
  RowsLoop rows_;
  uint32_t gathered_ = 0;  // operands that gathered_rows copies
  int turned_ = 0, turns_[kTurned];
  int64_t total_, block_, tile_ = 0;
  int dtype_[kMax], loop_dtype_[kMax];
  char* data_[kMax];
  int place_[ATLED_MAX_NDIM];
  int64_t sizes_[ATLED_MAX_NDIM];
  int64_t strides_[kMax][ATLED_MAX_NDIM];
};

void Elementwise::add(const atled_tensor* t, char* data, int dtype) {
  if (count_ == kMaxOperands) fail(ATLED_E_RUNTIME, "expected at most %d element-wise operands", kMaxOperands);
  operands_[count_++] = Operand{t, data, dtype};
}

Elementwise& Elementwise::output(const atled_tensor* t, int dtype) {
  casts_ |= t->dtype != dtype;
  add(t, data<char>(t), dtype);
  outputs_ = count_;
  return *this;
}

Elementwise& Elementwise::input(const atled_tensor* t, int dtype) {
  casts_ |= t->dtype != dtype;
  add(t, data<char>(t), dtype);
  return *this;
}

Elementwise& Elementwise::scalar(const atled_value& v, int dtype) {
  add(nullptr, nullptr, dtype);
  char* number = numbers_[count_ - 1];
  operands_[count_ - 1].data = number;
  store_scalar(v, dtype, number);
  return *this;
}

Elementwise& Elementwise::operand(const atled_value& v, int dtype) {
  if (v.tag == ATLED_TENSOR) return input(v.u.tensor, dtype);
  return is_none(v) ? *this : scalar(v, dtype);
}

Elementwise& Elementwise::anchored() {
  anchors_ |= uint32_t{1} << (count_ - 1);
  return *this;
}

// Inputs of few elements, which would be converted wherever they are repeated, are once.
void Elementwise::convert_few(Tensor* converted) {
  const int64_t most = numel(operands_[0].tensor) / 4;
  for (int k = outputs_; k < count_; ++k) {
    Operand& o = operands_[k];
    if (!o.tensor || o.tensor->dtype == o.dtype || numel(o.tensor) == 1 || numel(o.tensor) > most) continue;
    converted[k] = contiguous(const_cast<atled_tensor*>(o.tensor), o.dtype);
    o.tensor = converted[k].get();
    o.data = data<char>(o.tensor);
  }
}

// Operands that all lie in memory alike need no walk.
bool Elementwise::run_flat(atled_loop loop, void* ctx, int64_t grain) {
  const atled_tensor* out = operands_[0].tensor;
  char* data[kMaxOperands];
  int64_t strides[kMaxOperands];
  for (int k = 0; k < count_; ++k) {
    const atled_tensor* t = operands_[k].tensor;
    data[k] = operands_[k].data;
    strides[k] = 0;
    if (!t) continue;
    if (t->dl.ndim == 0 && k >= outputs_) continue;
    if (!is_contiguous(t) || t->dl.ndim != out->dl.ndim) return false;
    for (int d = 0; d < out->dl.ndim; ++d)
      if (t->dl.shape[d] != out->dl.shape[d]) return false;
    strides[k] = itemsize(operands_[k].dtype);
  }
  const int64_t n = numel(out);
  if (n <= grain) {
    if (n > 0) loop(ctx, data, strides, n);
    return true;
  }
  const bool streams = outputs_ == 1 && !(anchors_ & 1) && n * strides[0] >= past_cache_limit() &&
                       std::find(data + 1, data + count_, data[0]) == data + count_;
  parallel(n, grain, [&](int64_t begin, int64_t end) {
    char* moved[kMaxOperands];
    for (int k = 0; k < count_; ++k) moved[k] = data[k] + begin * strides[k];
    if (!streams) return loop(ctx, moved, strides, end - begin);
    run_streamed(loop, ctx, count_, moved, strides, end - begin);
    past_cache_end();
  });
  return true;
}

void Elementwise::run(atled_loop loop, void* ctx, size_t ctx_bytes, int64_t grain) {
  run_rows(loop, nullptr, ctx, ctx_bytes, grain);
}

void Elementwise::run_rows(atled_loop loop, RowsLoop rows, void* ctx, size_t ctx_bytes, int64_t grain) {
  if (__builtin_expect(thread_state.deferral != nullptr, 0))
    return thread_state.deferral->take(*this, loop, ctx, ctx_bytes);
  if (!casts_ && run_flat(loop, ctx, grain)) return;
  const atled_tensor* out = operands_[0].tensor;
  if (numel(out) == 0) return;
  for (int k = 1; k < count_; ++k) {
    const atled_tensor* t = operands_[k].tensor;
    if (!t) continue;
    const int shift = out->dl.ndim - t->dl.ndim;
    bool fits = shift >= 0;
    for (int d = 0; fits && d < t->dl.ndim; ++d)
      fits = t->dl.shape[d] == out->dl.shape[d + shift] || (t->dl.shape[d] == 1 && k >= outputs_);
    if (!fits)
      fail(ATLED_E_SHAPE, "expected operands that broadcast to the output's shape %s, got %s", shape_text(out).c_str(),
           shape_text(t).c_str());
  }
  Tensor converted[kMaxOperands];
  if (casts_) convert_few(converted);
  const Walk walk(*this, numbers_, rows);
  walk.run(loop, ctx, grain);
}

int elementwise(atled_frame* frame, int in_dtype, int out_dtype, atled_loop loop, void* ctx) noexcept {
  return elementwise_of(frame, in_dtype, out_dtype, loop, ctx, 0);
}

int elementwise_of(atled_frame* frame, int in_dtype, int out_dtype, atled_loop loop, const void* ctx,
                   size_t ctx_bytes) noexcept {
  return guard([&] {
    Elementwise e;
    for (int i = 0; i < frame->op->nouts; ++i) e.output(out_tensor(frame, i), out_dtype);
    for (int i = 0; i < frame->op->nargs; ++i) {
      const atled_arg& arg = frame->op->args[i];
      const bool number = arg.tag == ATLED_NONE || arg.flags & ATLED_ARG_SCALAR_TOO;
      if (arg.tag == ATLED_TENSOR || number) e.operand(frame->args[i], in_dtype);
    }
    e.run(loop, const_cast<void*>(ctx), ctx_bytes, Elementwise::kGrain);
  });
}

}  // namespace atled::core
