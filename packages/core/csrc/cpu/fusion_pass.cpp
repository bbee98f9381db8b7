// One pass: calls of one shape, run together block by block. A block's values stay in the L1 cache from the call that
// makes them to those that read them; only what a tensor still holds is written to memory.
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "cpu/assign.h"
#include "cpu/cast.h"
#include "cpu/fusion.h"
#include "cpu/parallel.h"
#include "cpu/past_cache.h"
#include "cpu/prefetch.h"

namespace atled::core {

namespace {

constexpr int64_t kBlockBytes = 3072;  // of one value
constexpr int64_t kGrain = 32768;      // elements of one call that are worth a thread
constexpr int kOperands = Elementwise::kMaxOperands;

// Memory that the pass reads or writes.
struct Slot {
  char* data;
  int item;
  int64_t strides[Deferred::kDims];  // in bytes, along the dimensions of the calls' shape
  int64_t steps[Deferred::kDims];    // ... and along those that are left when it is joined, the innermost first
  bool read = false;
  bool spread = false;  // blocks of several rows read it from a buffer, where it is brought row by row
};

// A loop over a block: its operands are places in the table of pointers, the result first.
struct Step {
  atled_loop loop;
  void* context;
  int count;
  int places[kOperands];
  int64_t strides[kOperands];
  bool single;  // of one element, which stands for all
};

void convert(void* cast, char* const* data, const int64_t* strides, int64_t n) {
  reinterpret_cast<CastLoop>(cast)(data[0], strides[0], data[1], strides[1], n);
}

void stream_out(void*, char* const* data, const int64_t* strides, int64_t n) {
  copy_past_cache(data[0], data[1], n * strides[0]);
}

class Pass {
 public:
  Pass(Deferred* const* calls, size_t count) : calls_(calls), count_(count) {
    int widest = 1;
    for (size_t i = 0; i < count_; ++i) {
      widest = std::max({widest, itemsize(calls_[i]->dtype), itemsize(calls_[i]->loop_dtype)});
      for (int k = 0; k < calls_[i]->count; ++k) {
        const Deferred::Input& input = calls_[i]->inputs[k];
        widest = std::max({widest, itemsize(input.dtype), itemsize(input.loop_dtype)});
      }
    }
    block_ = kBlockBytes / widest;
    find_slots();
    join_dims();
    for (size_t i = 0; i < count_; ++i) add_call(calls_[i]);
    share_buffers();
  }

  void run() const {
    const int64_t unit = rows_ > 1 ? rows_ * sizes_[0] : block_;
    const int64_t grain = std::max<int64_t>(1, kGrain / static_cast<int64_t>(count_) / unit) * unit;
    parallel(calls_[0]->numel, grain, [this](int64_t begin, int64_t end) { range(begin, end); });
  }

 private:
  // ---- memory ----

  int slot(char* data, const int64_t* strides, int dtype) {
    const int ndim = calls_[0]->ndim, item = itemsize(dtype);
    for (size_t i = 0; i < slots_.size(); ++i) {
      const Slot& s = slots_[i];  // one column may be of complex numbers, another of their real parts
      if (s.data == data && s.item == item && std::equal(strides, strides + ndim, s.strides))
        return static_cast<int>(i);
    }
    Slot made;
    made.data = data;
    made.item = item;
    std::copy(strides, strides + ndim, made.strides);
    slots_.push_back(made);
    return static_cast<int>(slots_.size()) - 1;
  }

  int result_slot(const Deferred* call) {
    int64_t strides[Deferred::kDims], step = itemsize(call->dtype);
    for (int d = call->ndim - 1; d >= 0; --d) {
      strides[d] = step;
      step *= call->shape[d];
    }
    return slot(call->data, strides, call->dtype);
  }

  bool here(const Deferred* call) const { return call->level == calls_[0]->level; }

  void find_slots() {
    for (size_t i = 0; i < count_; ++i) {
      Deferred* call = calls_[i];
      call->place = -1;
      for (int k = 0; k < call->count; ++k) {
        const Deferred::Input& input = call->inputs[k];
        if (input.storage) slots_[static_cast<size_t>(slot(input.data, input.strides, input.dtype))].read = true;
        if (input.from && !here(input.from)) slots_[static_cast<size_t>(result_slot(input.from))].read = true;
      }
      if (call->written()) result_slot(call);
    }
  }

  // Dimensions that all slots go through alike become one; the innermost first.
  void join_dims() {
    const Deferred* first = calls_[0];
    std::vector<int> kept;  // the last dimension of each group
    for (int d = first->ndim - 1; d >= 0; --d) {
      if (first->shape[d] == 1) continue;
      bool joins = !kept.empty();
      for (const Slot& s : slots_) joins = joins && s.strides[d] == s.strides[kept.back()] * sizes_[kept.size() - 1];
      if (joins) {
        sizes_[kept.size() - 1] *= first->shape[d];
        continue;
      }
      sizes_[kept.size()] = first->shape[d];
      kept.push_back(d);
    }
    ndim_ = static_cast<int>(kept.size());
    for (Slot& s : slots_) {
      s.steps[0] = 0;
      for (int j = 0; j < ndim_; ++j) s.steps[j] = s.strides[kept[static_cast<size_t>(j)]];
    }
    if (ndim_ == 0) sizes_[ndim_++] = 1;
    if (ndim_ == 1 || 2 * sizes_[0] > block_) return;
    rows_ = std::min(sizes_[1], block_ / sizes_[0]);
    for (Slot& s : slots_)
      if ((s.spread = s.steps[1] != s.steps[0] * sizes_[0])) ++spreads_;
  }

  // ---- steps ----

  // Where a value is, and how far apart its elements are there. Places are of slots, then of numbers, then of buffers.
  struct Value {
    int place, dtype;
    int64_t stride;
  };
  struct Cast {
    int from, to;
    int place;  // of what was converted
    Value made;
  };
  static constexpr int kNumbers = 1 << 16, kBuffers = 1 << 20;

  Value at_slot(int i, int dtype) const {
    const Slot& s = slots_[static_cast<size_t>(i)];
    return Value{i, dtype, s.spread ? s.item : s.steps[0]};
  }
  Value buffer(int dtype, bool single = false) {
    return Value{kBuffers + buffers_++, dtype, single ? 0 : itemsize(dtype)};
  }

  void step(atled_loop loop, void* context, std::initializer_list<Value> values, bool single = false) {
    Step made{loop, context, 0, {}, {}, single};
    for (const Value& v : values) operand(made, v);
    steps_.push_back(made);
  }
  static void operand(Step& step, const Value& v) {
    step.places[step.count] = v.place;
    step.strides[step.count++] = v.stride;
  }

  Value converted(const Value& v, int dtype) {
    if (v.dtype == dtype) return v;
    for (const Cast& c : casts_)
      if (c.place == v.place && c.from == v.dtype && c.to == dtype) return c.made;
    const bool single = v.stride == 0;
    const Value made = buffer(dtype, single);
    step(convert, reinterpret_cast<void*>(cast_loop(v.dtype, dtype)), {made, v}, single);
    casts_.push_back(Cast{v.dtype, dtype, v.place, made});
    return made;
  }

  Value value_of(const Deferred* call) {
    if (!here(call)) return at_slot(result_slot(call), call->dtype);
    if (call->place < kNumbers) return at_slot(call->place, call->dtype);
    return Value{call->place, call->dtype, itemsize(call->dtype)};
  }

  Value read(Deferred::Input& input) {
    if (input.from) return converted(value_of(input.from), input.loop_dtype);
    if (input.storage)
      return converted(at_slot(slot(input.data, input.strides, input.dtype), input.dtype), input.loop_dtype);
    numbers_.push_back(input.number);
    return Value{kNumbers + static_cast<int>(numbers_.size()) - 1, input.dtype, 0};
  }

  void add_call(Deferred* call) {
    Step made{call->loop, call->context, 1, {}, {}, false};
    for (int k = 0; k < call->count; ++k) operand(made, read(call->inputs[k]));
    const bool streams = call->written() && call->numel * itemsize(call->dtype) >= past_cache_limit();
    const int home = call->written() ? result_slot(call) : -1;
    const Value result = home >= 0 && !streams ? at_slot(home, call->dtype) : buffer(call->dtype);
    const Value computed = call->loop_dtype == call->dtype ? result : buffer(call->loop_dtype);
    made.places[0] = computed.place;
    made.strides[0] = computed.stride;
    steps_.push_back(made);
    if (call->loop_dtype != call->dtype)
      step(convert, reinterpret_cast<void*>(cast_loop(call->loop_dtype, call->dtype)), {result, computed});
    if (streams) step(stream_out, nullptr, {at_slot(home, call->dtype), result});
    streams_ |= streams;
    call->place = result.place;
  }

  // Gives buffers that are not in use at the same time the same memory, and all places their index in the table.
  void share_buffers() {
    std::vector<size_t> last(static_cast<size_t>(buffers_), 0);
    for (size_t i = 0; i < steps_.size(); ++i)
      for (int k = 0; k < steps_[i].count; ++k)
        if (steps_[i].places[k] >= kBuffers) last[static_cast<size_t>(steps_[i].places[k] - kBuffers)] = i;
    std::vector<int> where(static_cast<size_t>(buffers_), -1), idle;
    const int base = static_cast<int>(slots_.size() + numbers_.size());
    used_ = 0;
    for (size_t i = 0; i < steps_.size(); ++i) {
      std::vector<int> done;
      for (int k = 0; k < steps_[i].count; ++k) {
        int& place = steps_[i].places[k];
        if (place < kNumbers) continue;
        if (place < kBuffers) {
          place += static_cast<int>(slots_.size()) - kNumbers;
          continue;
        }
        const auto v = static_cast<size_t>(place - kBuffers);
        if (where[v] < 0) {
          if (idle.empty()) idle.push_back(used_++);
          where[v] = idle.back();
          idle.pop_back();
        }
        if (last[v] == i && std::find(done.begin(), done.end(), where[v]) == done.end()) done.push_back(where[v]);
        place = base + where[v];
      }
      idle.insert(idle.end(), done.begin(), done.end());
    }
  }

  // ---- running ----

  // A thread's own: the table of pointers (slots, numbers, buffers), and where the slots go that are spread.
  struct Table {
    static constexpr int kOnStack = 16;
    alignas(64) char some[kOnStack * kBlockBytes];
    std::vector<char> more;
    std::vector<char*> at, spread;
    std::vector<const char*> filled;

    char* buffer(int b) {
      if (b < kOnStack) return some + b * kBlockBytes;
      const uintptr_t begin = (reinterpret_cast<uintptr_t>(more.data()) + 63) / 64 * 64;
      return reinterpret_cast<char*>(begin) + (b - kOnStack) * kBlockBytes;
    }
  };

  void set_up(Table& t) const {
    const int buffers = used_ + spreads_;
    if (buffers > Table::kOnStack) t.more.resize(static_cast<size_t>((buffers - Table::kOnStack) * kBlockBytes + 64));
    t.at.resize(slots_.size());
    t.at.insert(t.at.end(), numbers_.begin(), numbers_.end());
    for (int b = 0; b < used_; ++b) t.at.push_back(t.buffer(b));
    for (int b = used_; b < buffers; ++b) t.spread.push_back(t.buffer(b));
    t.filled.resize(t.spread.size());
  }

  void range(int64_t begin, int64_t end) const {
    Table t;
    set_up(t);
    int64_t index[Deferred::kDims], left = begin;
    for (int j = 0; j < ndim_; ++j) {
      index[j] = left % sizes_[j];
      left /= sizes_[j];
    }
    for (left = end - begin; left > 0;) {
      for (size_t s = 0; s < slots_.size(); ++s) {
        t.at[s] = slots_[s].data;
        for (int j = 0; j < ndim_; ++j) t.at[s] += index[j] * slots_[s].steps[j];
      }
      const int advanced = rows_ > 1 ? 1 : 0;
      if (rows_ > 1) {
        const int64_t rows = std::min({rows_, sizes_[1] - index[1], left / sizes_[0]});
        spread(t, rows);
        block(t.at.data(), rows * sizes_[0]);
        index[1] += rows;
        left -= rows * sizes_[0];
      } else {
        const int64_t row = std::min(left, sizes_[0] - index[0]);
        along_row(t, row);
        index[0] += row;
        left -= row;
      }
      for (int j = advanced; j + 1 < ndim_ && index[j] == sizes_[j]; ++j) {
        index[j] = 0;
        ++index[j + 1];
      }
    }
    if (streams_) past_cache_end();
  }

  void along_row(Table& t, int64_t row) const {
    for (int64_t done = 0; done < row; done += block_) {
      const int64_t n = std::min(block_, row - done);
      fetch(t.at.data(), n, std::min(block_, row - done - n));
      block(t.at.data(), n);
      for (size_t s = 0; s < slots_.size(); ++s) t.at[s] += n * slots_[s].steps[0];
    }
  }

  // Rows of slots that do not lie one after the other, side by side: copies, or one element over and over.
  void spread(Table& t, int64_t rows) const {
    size_t next = 0;
    for (size_t s = 0; s < slots_.size(); ++s) {
      const Slot& slot = slots_[s];
      if (!slot.spread) continue;
      char* to = t.spread[next];
      const char* from = std::exchange(t.at[s], to);
      // The same row again and again is brought once, for the most rows of a block.
      const bool same = slot.steps[1] == 0;
      if (!same || t.filled[next] != from)
        for (int64_t r = 0, bytes = sizes_[0] * slot.item; r < (same ? rows_ : rows); ++r) {
          const char* row = from + r * slot.steps[1];
          if (slot.steps[0] == 0)
            visit_size(slot.item, [&](auto tag) {
              using T = typename decltype(tag)::type;
              T* begin = reinterpret_cast<T*>(to + r * bytes);
              std::fill(begin, begin + sizes_[0], *reinterpret_cast<const T*>(row));
            });
          else
            std::memcpy(to + r * bytes, row, static_cast<size_t>(bytes));
        }
      t.filled[next++] = from;
    }
  }

  // Memory answers while the block before is worked on: its own prefetching ends with each page.
  void fetch(char* const* at, int64_t n, int64_t next) const {
    for (size_t s = 0; s < slots_.size(); ++s) {
      const int64_t step = slots_[s].steps[0];
      if (!slots_[s].read || step <= 0 || step > 16) continue;
      prefetch(at[s] + n * step, next * step);
    }
  }

  void block(char* const* at, int64_t n) const {
    char* data[kOperands];
    for (const Step& step : steps_) {
      for (int k = 0; k < step.count; ++k) data[k] = at[step.places[k]];
      step.loop(step.context, data, step.strides, step.single ? 1 : n);
    }
  }

  Deferred* const* calls_;
  size_t count_;
  std::vector<Slot> slots_;
  std::vector<char*> numbers_;
  std::vector<Cast> casts_;
  std::vector<Step> steps_;
  int ndim_ = 0, buffers_ = 0, used_ = 0, spreads_ = 0;
  bool streams_ = false;
  int64_t sizes_[Deferred::kDims], block_;
  int64_t rows_ = 1;  // of a block, where rows are short
};

}  // namespace

void run_pass(Deferred* const* calls, size_t count) { Pass(calls, count).run(); }

}  // namespace atled::core
