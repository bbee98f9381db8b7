#include "cpu/fusion_pass.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cpu/assign.h"
#include "cpu/cast.h"
#include "cpu/parallel.h"
#include "cpu/past_cache.h"
#include "cpu/prefetch.h"

namespace atled::core {

namespace {

constexpr int64_t kGrain = 32768;     // elements of one call that are worth a thread
constexpr int64_t kLongRow = 128;     // elements of a row that is better worked on alone than brought beside others
constexpr int64_t kCached = 1 << 19;  // bytes of one value that may be in the cache anyway

// Places in the table of pointers are of slots, then of numbers, then of buffers.
constexpr int kNumbers = 1 << 16, kBuffers = 1 << 20;

void convert(void* cast, char* const* data, const int64_t* strides, int64_t n) {
  reinterpret_cast<CastLoop>(cast)(data[0], strides[0], data[1], strides[1], n);
}

void stream_out(void*, char* const* data, const int64_t* strides, int64_t n) {
  copy_past_cache(data[0], data[1], n * strides[0]);
}

void finish(const Deferred& call, const char* sums, int64_t row, int64_t rows) {
  const int item = itemsize(call.dtype);
  call.reduction->finish(call.context, sums, call.data + row * item, item, rows);
}

}  // namespace

Pass::Pass(Deferred* const* calls, size_t count) : calls_(calls), count_(count) {
  for (size_t i = 0; i < count_; ++i)
    if (calls_[i]->reduction) reductions_.push_back(calls_[i]);
  find_slots();
  join_dims();
  if (reductions_.empty() || blocks_of_rows()) return;
  // What is reduced is written, and read once more.
  for (const Deferred* call : reductions_)
    if (Deferred* from = call->inputs[0].from) from->spills |= !from->written();
  find_slots();
  join_dims();
}

bool Pass::comes_in(int64_t rows) const {
  if (!reductions_.empty() || chunks_ > 1 || numel() % rows != 0) return false;
  return (reduced_.empty() && rows_ == 1) || numel() / rows % sizes_[0] == 0;
}

void Pass::prepare() {
  for (Slot& s : slots_) {
    if (!s.result) continue;
    s.data = s.result->data;
    s.read = !here(s.result) && !s.result->read_soon;
  }
  steps_.reserve(count_ + 2);
  auto reduced = reduced_.begin();  // in the order of the calls
  for (Deferred* call : *this)
    if (!call->reduction)
      add_call(call);
    else if (reduced != reduced_.end())
      add_reduction(*reduced++);
  share_buffers();
}

// ---- memory ----

int Pass::slot(const Deferred* result, char* data, const int64_t* strides, int dtype) {
  const int ndim = calls_[0]->ndim, item = itemsize(dtype);
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& s = slots_[i];  // one column may be of complex numbers, another of their real parts
    if (result ? s.result == result
               : !s.result && s.data == data && s.item == item && std::equal(strides, strides + ndim, s.strides))
      return static_cast<int>(i);
  }
  Slot made;
  made.result = result;
  made.data = data;
  made.item = item;
  std::copy(strides, strides + ndim, made.strides);
  slots_.push_back(made);
  return static_cast<int>(slots_.size()) - 1;
}

int Pass::result_slot(const Deferred* call) {
  int64_t strides[Deferred::kDims], step = itemsize(call->dtype);
  for (int d = call->ndim - 1; d >= 0; --d) {
    strides[d] = step;
    step *= call->shape[d];
  }
  return slot(call, nullptr, strides, call->dtype);
}

void Pass::find_slots() {
  slots_.clear();
  slots_.reserve(count_ + 2);
  widest_ = 1;
  for (size_t i = 0; i < count_; ++i) {
    Deferred* call = calls_[i];
    call->place = -1;
    widest_ = std::max({widest_, itemsize(call->dtype), itemsize(call->loop_dtype)});
    for (int k = 0; k < call->count; ++k) {
      const Deferred::Input& input = call->inputs[k];
      widest_ = std::max({widest_, itemsize(input.dtype), itemsize(input.loop_dtype)});
      if (input.storage) slots_[static_cast<size_t>(input_slot(input))].read = true;
      if (input.from && !here(input.from)) result_slot(input.from);
    }
    if (call->written() && !call->reduction) result_slot(call);
  }
  block_ = reductions_.empty() ? kBlockBytes / widest_ : kRowBlock;
  fetches_ = numel() * widest_ > kCached;
  buffer_bytes_ = std::max(kBlockBytes, block_ * widest_);
}

// Dimensions that all slots go through alike become one, but for what ends a row that is reduced; the innermost first.
void Pass::join_dims() {
  const Deferred* first = calls_[0];
  const int64_t length = reductions_.empty() ? 0 : reductions_[0]->length;
  int kept[Deferred::kDims];  // the last dimension of each group
  ndim_ = spreads_ = 0;
  rows_ = 1;
  for (int d = first->ndim - 1; d >= 0; --d) {
    if (first->shape[d] == 1) continue;
    const int last = ndim_ - 1;
    bool joins = ndim_ > 0 && !(ndim_ == 1 && sizes_[0] == length);
    for (const Slot& s : slots_) joins = joins && s.strides[d] == s.strides[kept[last]] * sizes_[last];
    if (joins) {
      sizes_[last] *= first->shape[d];
      continue;
    }
    sizes_[ndim_] = first->shape[d];
    kept[ndim_++] = d;
  }
  for (Slot& s : slots_) {
    s.steps[0] = 0;
    for (int j = 0; j < ndim_; ++j) s.steps[j] = s.strides[kept[j]];
    if (ndim_ > 1) s.turn = s.steps[1] - sizes_[0] * s.steps[0];
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

// Whether what is reduced comes in rows that a block is part of, or holds several of. Then they are reduced block by
// block.
bool Pass::blocks_of_rows() {
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

// ---- steps ----

Pass::Value Pass::at_slot(int i, int dtype) const {
  const Slot& s = slots_[static_cast<size_t>(i)];
  return Value{i, dtype, s.spread ? s.item : s.steps[0]};
}

Pass::Value Pass::buffer(int dtype, bool single) {
  return Value{kBuffers + buffers_++, dtype, single ? 0 : itemsize(dtype)};
}

void Pass::step(atled_loop loop, void* context, std::initializer_list<Value> values, bool single) {
  Step made{loop, context, 0, {}, {}, single};
  for (const Value& v : values) made.add(v);
  steps_.push_back(made);
}

Pass::Value Pass::converted(const Value& v, int dtype) {
  if (v.dtype == dtype) return v;
  for (const Cast& c : casts_)
    if (c.place == v.place && c.from == v.dtype && c.to == dtype) return c.made;
  const bool single = v.stride == 0;
  const Value made = buffer(dtype, single);
  step(convert, reinterpret_cast<void*>(cast_loop(v.dtype, dtype)), {made, v}, single);
  casts_.push_back(Cast{v.dtype, dtype, v.place, made});
  return made;
}

Pass::Value Pass::value_of(const Deferred* call) {
  if (!here(call)) return at_slot(result_slot(call), call->dtype);
  if (call->place < kNumbers) return at_slot(call->place, call->dtype);
  return Value{call->place, call->dtype, itemsize(call->dtype)};
}

Pass::Value Pass::read(Deferred::Input& input) {
  if (input.from) return converted(value_of(input.from), input.loop_dtype);
  if (input.storage) return converted(at_slot(input_slot(input), input.dtype), input.loop_dtype);
  numbers_.push_back(input.number);
  return Value{kNumbers + static_cast<int>(numbers_.size()) - 1, input.dtype, 0};
}

void Pass::add_call(Deferred* call) {
  Step made{call->loop, call->context, 1, {}, {}, false};
  for (int k = 0; k < call->count; ++k) made.add(read(call->inputs[k]));
  const bool streams = call->written() && !call->read_soon && call->numel * itemsize(call->dtype) >= past_cache_limit();
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

void Pass::add_reduction(const Reduced& r) {
  const Value in = read(r.call->inputs[0]);
  steps_.push_back(Step{nullptr, r.call, 0, {}, {}, false});
  steps_.back().add(in);
}

// Gives buffers that are not in use at the same time the same memory, and all places their index in the table.
void Pass::share_buffers() {
  std::vector<size_t> last(static_cast<size_t>(buffers_), 0);
  for (size_t i = 0; i < steps_.size(); ++i)
    for (int k = 0; k < steps_[i].count; ++k)
      if (steps_[i].places[k] >= kBuffers) last[static_cast<size_t>(steps_[i].places[k] - kBuffers)] = i;
  std::vector<int> where(static_cast<size_t>(buffers_), -1), idle;
  const int base = static_cast<int>(slots_.size() + numbers_.size());
  used_ = 0;
  for (size_t i = 0; i < steps_.size(); ++i) {
    int done[Elementwise::kMaxOperands], count = 0;
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
      if (last[v] == i && std::find(done, done + count, where[v]) == done + count) done[count++] = where[v];
      place = base + where[v];
    }
    idle.insert(idle.end(), done, done + count);
  }
}

// ---- running ----

void Pass::run() {
  if (reduced_.empty()) {
    const int64_t unit = rows_ > 1 ? rows_ * sizes_[0] : block_;
    parallel(numel(), grain(unit) * unit, [this](int64_t begin, int64_t end) { part(begin, end); });
  } else {
    run_rows();
  }
  for (const Deferred* call : reductions_) {
    const Deferred::Input& in = call->inputs[0];
    reduce_rows(in.from ? in.from->data : in.data, itemsize(in.dtype), call->numel / call->length, call->length,
                call->data, itemsize(call->dtype), *call->reduction, call->context);
  }
}

void Pass::part(int64_t begin, int64_t end) {
  Memory memory(beyond_stack());
  Table t;
  set_up(t, memory);
  range(t, begin, end, nullptr);
  if (streams_) past_cache_end();
}

void Pass::run_rows() {
  const int64_t length = sizes_[0], units = calls_[0]->numel / length * chunks_;
  const auto begins = [&](int64_t unit) { return unit / chunks_ * length + unit % chunks_ * kChunk; };
  parallel(units, grain(std::min(length, kChunk)),
           [&](int64_t begin, int64_t end) { part(begins(begin), begins(end)); });
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

int64_t Pass::beyond_stack() const { return std::max<int64_t>(0, used_ + spreads_ - on_stack()) * buffer_bytes_; }

void Pass::set_up(Table& t, Memory& memory) const {
  t.at.reserve(slots_.size() + numbers_.size() + static_cast<size_t>(used_));
  t.at.resize(slots_.size());
  t.at.insert(t.at.end(), numbers_.begin(), numbers_.end());
  for (int b = 0; b < used_ + spreads_; ++b)
    (b < used_ ? t.at : t.spread)
        .push_back(b < on_stack() ? memory.some + b * kBlockBytes
                                  : memory.rest.data() + (b - on_stack()) * buffer_bytes_);
  t.filled.resize(t.spread.size());
  if (short_) return;
  for (const Reduced& r : reduced_) t.running.push_back(std::make_unique<Running>(*r.call->reduction, r.call->context));
}

void Pass::range(Table& t, int64_t begin, int64_t end, char* local) {
  std::fill(t.filled.begin(), t.filled.end(), nullptr);  // others may have used that memory
  int64_t index[Deferred::kDims], left = begin;
  for (int j = 0; j < ndim_; ++j) {
    index[j] = left % sizes_[j];
    left /= sizes_[j];
  }
  for (left = end - begin; left > 0;) {
    const int64_t from = end - left;
    for (size_t s = 0; s < slots_.size(); ++s) {
      const Slot& slot = slots_[s];
      t.at[s] = slot.data ? slot.data : local + slot.result->local - begin * slot.item;
      for (int j = 0; j < ndim_; ++j) t.at[s] += index[j] * slot.steps[j];
    }
    const int advanced = rows_ > 1 ? 1 : 0;
    if (rows_ > 1) {
      const int64_t rows = std::min({rows_, sizes_[1] - index[1], left / sizes_[0]});
      spread(t, rows);
      block(t, from, rows * sizes_[0]);
      index[1] += rows;
      left -= rows * sizes_[0];
    } else {
      int64_t row = std::min(left, sizes_[0] - index[0]);
      along_row(t, from, row, left);
      index[0] += row;
      left -= row;
      // Each row of the second dimension goes on from the one before.
      while (ndim_ > 1 && left > 0 && index[0] == sizes_[0] && index[1] + 1 < sizes_[1]) {
        for (size_t s = 0; s < slots_.size(); ++s) t.at[s] += slots_[s].turn;
        row = std::min(left, sizes_[0]);
        along_row(t, end - left, row, left);
        index[0] = row;
        ++index[1];
        left -= row;
      }
    }
    for (int j = advanced; j + 1 < ndim_ && index[j] == sizes_[j]; ++j) {
      index[j] = 0;
      ++index[j + 1];
    }
  }
}

void Pass::along_row(Table& t, int64_t from, int64_t row, int64_t left) {
  for (int64_t done = 0; done < row; done += block_) {
    const int64_t n = std::min(block_, row - done);
    if (fetches_)
      fetch(t.at.data(), n, std::min(block_, row - done - n), std::min({block_, sizes_[0], left - done - n}));
    block(t, from + done, n);
    for (size_t s = 0; s < slots_.size(); ++s) t.at[s] += n * slots_[s].steps[0];
  }
}

// Rows of slots that do not lie one after the other, side by side: copies, or one element over and over.
void Pass::spread(Table& t, int64_t rows) const {
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

void Pass::bring(const Slot& slot, const char* from, char* to, int64_t rows) const {
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

// Memory answers while the block before is worked on: its own prefetching ends with each page. Of what goes on after
// the row, `left` elements come next, else those of the row.
void Pass::fetch(char* const* at, int64_t n, int64_t of_row, int64_t left) const {
  for (size_t s = 0; s < slots_.size(); ++s) {
    const Slot& slot = slots_[s];
    const int64_t step = slot.steps[0];
    if (!slot.read || step <= 0 || step > 16) continue;
    const bool goes_on = ndim_ == 1 || slot.steps[1] == step * sizes_[0];
    prefetch(at[s] + n * step, (goes_on ? left : of_row) * step);
  }
}

// n elements from the flat index `from` on.
void Pass::block(Table& t, int64_t from, int64_t n) {
  char* data[Elementwise::kMaxOperands];
  size_t reductions = 0;
  for (const Step& step : steps_) {
    for (int k = 0; k < step.count; ++k) data[k] = t.at[static_cast<size_t>(step.places[k])];
    if (step.loop)
      step.loop(step.context, data, step.strides, step.single ? 1 : n);
    else
      reduce_block(t, reductions++, data[0], from, n);
  }
}

void Pass::reduce_block(Table& t, size_t which, const char* in, int64_t from, int64_t n) {
  const Deferred& call = *reduced_[which].call;
  const ReduceLoops& loops = *call.reduction;
  const int64_t length = sizes_[0], row = from / length, item = itemsize(call.inputs[0].loop_dtype);
  if (short_) {
    alignas(16) char sums[kRowsAtOnce * kWidest];
    const int64_t rows = n / length, at_once = loops.separate ? rows : 1;
    for (int64_t r = 0; r < rows; r += at_once) {
      reduce_short(loops, call.context, in + r * length * item, length * item, item, length, at_once, sums);
      finish(call, sums, row + r, at_once);
    }
    return;
  }
  Cascade& sums = t.running[which]->sums;
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

int64_t Pass::grain(int64_t unit) const { return std::max<int64_t>(1, kGrain / static_cast<int64_t>(count_) / unit); }

}  // namespace atled::core
