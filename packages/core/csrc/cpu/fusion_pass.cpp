// One pass: calls of one shape, run together block by block. A block's values stay in the L1 cache from the call that
// makes them to those that read them; only what a tensor still holds is written to memory.
#include <algorithm>
#include <cstring>
#include <deque>
#include <new>
#include <utility>
#include <vector>

#include "cpu/assign.h"
#include "cpu/cascade.h"
#include "cpu/cast.h"
#include "cpu/fusion.h"
#include "cpu/parallel.h"
#include "cpu/past_cache.h"
#include "cpu/prefetch.h"
#include "memory/allocator.h"

namespace atled::core {

namespace {

constexpr int64_t kBlockBytes = 3072;  // of one value
constexpr int64_t kGrain = 32768;      // elements of one call that are worth a thread
constexpr int64_t kLongRow = 128;      // elements of a row that is better worked on alone than brought beside others
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

// A loop over a block: its operands are places in the table of pointers, the result first. Without a loop, a reduction
// of the one operand.
struct Step {
  atled_loop loop;
  void* context;
  int count;
  int places[kOperands];
  int64_t strides[kOperands];
  bool single;  // of one element, which stands for all
};

// A reduction that goes along with the pass, and the results of its rows' chunks where they have several.
struct Reduced {
  Deferred* call;
  std::vector<char> partial;
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
    for (size_t i = 0; i < count_; ++i)
      if (calls_[i]->reduction) reductions_.push_back(calls_[i]);
    find_slots();
    join_dims();
    if (!reductions_.empty() && !blocks_of_rows()) {
      write_reduced();
      find_slots();
      join_dims();
    }
    auto reduced = reduced_.begin();  // in the order of the calls
    for (size_t i = 0; i < count_; ++i)
      if (!calls_[i]->reduction)
        add_call(calls_[i]);
      else if (reduced != reduced_.end())
        add_reduction(*reduced++);
    share_buffers();
  }

  void run() {
    if (reduced_.empty()) {
      const int64_t unit = rows_ > 1 ? rows_ * sizes_[0] : block_;
      parallel(calls_[0]->numel, grain(unit) * unit, [this](int64_t begin, int64_t end) { range(begin, end); });
    } else {
      run_rows();
    }
    for (const Deferred* call : reductions_) {
      const Deferred* from = call->inputs[0].from;
      reduce_rows(from->data, itemsize(from->dtype), call->numel / call->length, call->length, call->data,
                  itemsize(call->dtype), *call->reduction, call->context);
    }
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
    slots_.clear();
    int widest = 1;
    for (size_t i = 0; i < count_; ++i) {
      Deferred* call = calls_[i];
      call->place = -1;
      widest = std::max({widest, itemsize(call->dtype), itemsize(call->loop_dtype)});
      for (int k = 0; k < call->count; ++k) {
        const Deferred::Input& input = call->inputs[k];
        widest = std::max({widest, itemsize(input.dtype), itemsize(input.loop_dtype)});
        if (input.storage) slots_[static_cast<size_t>(slot(input.data, input.strides, input.dtype))].read = true;
        if (input.from && !here(input.from)) slots_[static_cast<size_t>(result_slot(input.from))].read = true;
      }
      if (call->written() && !call->reduction) result_slot(call);
    }
    block_ = reductions_.empty() ? kBlockBytes / widest : kRowBlock;
    buffer_bytes_ = std::max(kBlockBytes, block_ * widest);
  }

  // Dimensions that all slots go through alike become one, but for what ends a row that is reduced; the innermost
  // first.
  void join_dims() {
    const Deferred* first = calls_[0];
    const int64_t length = reductions_.empty() ? 0 : reductions_[0]->length;
    std::vector<int> kept;  // the last dimension of each group
    ndim_ = spreads_ = 0;
    rows_ = 1;
    for (int d = first->ndim - 1; d >= 0; --d) {
      if (first->shape[d] == 1) continue;
      bool joins = !kept.empty() && !(kept.size() == 1 && sizes_[0] == length);
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
    const auto apart = [this](const Slot& s) { return s.steps[1] != s.steps[0] * sizes_[0]; };
    const bool any = std::any_of(slots_.begin(), slots_.end(), apart);
    if (any && sizes_[0] >= kLongRow) return;
    rows_ = std::min(sizes_[1], block_ / sizes_[0]);
    for (Slot& s : slots_)
      if ((s.spread = apart(s))) ++spreads_;
  }

  // ---- reductions ----

  // Whether what is reduced comes in rows that a block is part of, or holds several of. Then they are reduced block by
  // block.
  bool blocks_of_rows() {
    const int64_t length = reductions_[0]->length;
    for (const Deferred* call : reductions_)
      if (call->length != length || sizes_[0] != length) return false;
    chunks_ = (length + kChunk - 1) / kChunk;
    short_ = length <= kRowBlock && length < reductions_[0]->numel;
    for (Deferred* call : reductions_) {
      const int64_t partial = chunks_ > 1 ? call->numel / length * chunks_ * call->reduction->width : 0;
      reduced_.push_back(Reduced{call, std::vector<char>(static_cast<size_t>(partial))});
    }
    reductions_.clear();
    return true;
  }

  // Otherwise what is reduced is written, and read once more.
  void write_reduced() {
    for (const Deferred* call : reductions_) {
      Deferred* from = call->inputs[0].from;
      if (from->written()) continue;
      from->spilled = allocate(static_cast<size_t>(from->numel * itemsize(from->dtype)));
      if (!from->spilled) throw std::bad_alloc();
      from->data = static_cast<char*>(from->spilled);
    }
  }

  void run_rows() {
    const int64_t length = sizes_[0], units = calls_[0]->numel / length * chunks_;
    const auto begins = [&](int64_t unit) { return unit / chunks_ * length + unit % chunks_ * kChunk; };
    parallel(units, grain(std::min(length, kChunk)),
             [&](int64_t begin, int64_t end) { range(begins(begin), begins(end)); });
    if (chunks_ == 1) return;
    alignas(16) char storage[kPairings * kWidest];
    for (const Reduced& r : reduced_) {
      const ReduceLoops& loops = *r.call->reduction;
      for (int64_t row = 0; row < units / chunks_; ++row) {
        Cascade sums(loops, r.call->context, 1, storage);
        const char* partial = r.partial.data() + row * chunks_ * loops.width;
        finish(*r.call, join_chunks(partial, chunks_, loops.width, sums), row, 1);
      }
    }
  }

  static void finish(const Deferred& call, const char* sums, int64_t row, int64_t rows) {
    const int item = itemsize(call.dtype);
    call.reduction->finish(call.context, sums, call.data + row * item, item, rows);
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

  void add_reduction(const Reduced& r) {
    Step made{nullptr, r.call, 0, {}, {}, false};
    operand(made, value_of(r.call->inputs[0].from));
    steps_.push_back(made);
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

  // A reduction while a thread goes along a row.
  struct Running {
    explicit Running(const Reduced& r) : sums(*r.call->reduction, r.call->context, 1, storage) {}
    alignas(16) char storage[kPairings * kWidest];
    Cascade sums;
  };

  // A thread's own: the table of pointers (slots, numbers, buffers), and where the slots go that are spread.
  struct Table {
    static constexpr int kOnStack = 16;
    alignas(64) char some[kOnStack * kBlockBytes];
    std::vector<char> more;
    std::vector<char*> at, spread;
    std::vector<const char*> filled;
    std::deque<Running> running;
  };

  void set_up(Table& t) const {
    const int on_stack = buffer_bytes_ == kBlockBytes ? Table::kOnStack : 0, buffers = used_ + spreads_;
    if (buffers > on_stack) t.more.resize(static_cast<size_t>((buffers - on_stack) * buffer_bytes_ + 64));
    char* more = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(t.more.data()) + 63) / 64 * 64);
    t.at.resize(slots_.size());
    t.at.insert(t.at.end(), numbers_.begin(), numbers_.end());
    for (int b = 0; b < buffers; ++b)
      (b < used_ ? t.at : t.spread)
          .push_back(b < on_stack ? t.some + b * kBlockBytes : more + (b - on_stack) * buffer_bytes_);
    t.filled.resize(t.spread.size());
    for (const Reduced& r : reduced_) t.running.emplace_back(r);
  }

  void range(int64_t begin, int64_t end) {
    Table t;
    set_up(t);
    int64_t index[Deferred::kDims], left = begin;
    for (int j = 0; j < ndim_; ++j) {
      index[j] = left % sizes_[j];
      left /= sizes_[j];
    }
    for (left = end - begin; left > 0;) {
      const int64_t from = end - left;
      for (size_t s = 0; s < slots_.size(); ++s) {
        t.at[s] = slots_[s].data;
        for (int j = 0; j < ndim_; ++j) t.at[s] += index[j] * slots_[s].steps[j];
      }
      const int advanced = rows_ > 1 ? 1 : 0;
      if (rows_ > 1) {
        const int64_t rows = std::min({rows_, sizes_[1] - index[1], left / sizes_[0]});
        spread(t, rows);
        block(t, from, rows * sizes_[0]);
        index[1] += rows;
        left -= rows * sizes_[0];
      } else {
        const int64_t row = std::min(left, sizes_[0] - index[0]);
        along_row(t, from, row);
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

  void along_row(Table& t, int64_t from, int64_t row) {
    for (int64_t done = 0; done < row; done += block_) {
      const int64_t n = std::min(block_, row - done);
      fetch(t.at.data(), n, std::min(block_, row - done - n));
      block(t, from + done, n);
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
      if (!same || t.filled[next] != from) bring(slot, from, to, same ? rows_ : rows);
      t.filled[next++] = from;
    }
  }

  void bring(const Slot& slot, const char* from, char* to, int64_t rows) const {
    const int64_t length = sizes_[0];
    if (slot.steps[0] != 0) {
      for (int64_t r = 0, bytes = length * slot.item; r < rows; ++r)
        std::memcpy(to + r * bytes, from + r * slot.steps[1], static_cast<size_t>(bytes));
      return;
    }
    visit_size(slot.item, [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* at = reinterpret_cast<T*>(to);
      for (int64_t r = 0; r < rows; ++r, at += length)
        std::fill(at, at + length, *reinterpret_cast<const T*>(from + r * slot.steps[1]));
    });
  }

  // Memory answers while the block before is worked on: its own prefetching ends with each page.
  void fetch(char* const* at, int64_t n, int64_t next) const {
    for (size_t s = 0; s < slots_.size(); ++s) {
      const int64_t step = slots_[s].steps[0];
      if (!slots_[s].read || step <= 0 || step > 16) continue;
      prefetch(at[s] + n * step, next * step);
    }
  }

  // n elements from the flat index `from` on.
  void block(Table& t, int64_t from, int64_t n) {
    char* data[kOperands];
    size_t reductions = 0;
    for (const Step& step : steps_) {
      for (int k = 0; k < step.count; ++k) data[k] = t.at[static_cast<size_t>(step.places[k])];
      if (step.loop)
        step.loop(step.context, data, step.strides, step.single ? 1 : n);
      else
        reduce_block(t, reductions++, data[0], from, n);
    }
  }

  void reduce_block(Table& t, size_t which, const char* in, int64_t from, int64_t n) {
    const Deferred& call = *reduced_[which].call;
    const ReduceLoops& loops = *call.reduction;
    const int64_t length = sizes_[0], row = from / length, item = itemsize(call.inputs[0].dtype);
    if (short_) {
      alignas(16) char sums[kRowsAtOnce * kWidest];
      reduce_short(loops, call.context, in, length * item, item, length, n / length, sums);
      return finish(call, sums, row, n / length);
    }
    Cascade& sums = t.running[which].sums;
    loops.row(call.context, in, item, n, sums.next());
    sums.push();
    const int64_t end = from % length + n, width = loops.width;
    if (end != length && end % kChunk != 0) return;
    if (chunks_ == 1)
      finish(call, sums.total(), row, 1);
    else
      std::memcpy(reduced_[which].partial.data() + (row * chunks_ + (end - 1) / kChunk) * width, sums.total(),
                  static_cast<size_t>(width));
    sums.clear();
  }

  int64_t grain(int64_t unit) const { return std::max<int64_t>(1, kGrain / static_cast<int64_t>(count_) / unit); }

  Deferred* const* calls_;
  size_t count_;
  std::vector<Deferred*> reductions_;  // by a look at memory after the pass
  std::vector<Reduced> reduced_;       // block by block
  int64_t chunks_ = 1;                 // of each row that is reduced
  bool short_ = false;                 // those rows are of one block, or less
  std::vector<Slot> slots_;
  std::vector<char*> numbers_;
  std::vector<Cast> casts_;
  std::vector<Step> steps_;
  int ndim_ = 0, buffers_ = 0, used_ = 0, spreads_ = 0;
  bool streams_ = false;
  int64_t sizes_[Deferred::kDims], block_, buffer_bytes_;
  int64_t rows_ = 1;  // of a block, where rows are short
};

}  // namespace

void run_pass(Deferred* const* calls, size_t count) { Pass(calls, count).run(); }

}  // namespace atled::core
