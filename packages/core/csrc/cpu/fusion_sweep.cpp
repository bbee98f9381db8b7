// Which passes run together. A sweep takes some rows through several passes before the next rows, so that what one pass
// read or wrote is in the cache when the next reads it: a softmax's row, from its maximum to its quotients.
#include <algorithm>
#include <new>
#include <vector>

#include "cpu/fusion_pass.h"
#include "cpu/parallel.h"
#include "cpu/past_cache.h"
#include "cpu/scratch.h"
#include "memory/allocator.h"

namespace atled::core {

namespace {

constexpr int64_t kPartBytes = 65536;  // of one value, that go through a sweep's passes in turn

int64_t result_numel(const Deferred* call) { return call->reduction ? call->numel / call->length : call->numel; }

// The call of another pass whose result is read, if any.
Deferred* read_of_another_pass(const Deferred* call, const Deferred::Input& input) {
  if (input.from) return input.from->level == call->level ? nullptr : input.from;
  return input.after;
}

// Whether each of `rows` equal parts of the call reads nothing but the same part of the result that `input` reads.
bool reads_its_part(const Deferred* call, const Deferred::Input& input, int64_t rows) {
  const Deferred* writer = input.after;
  const int64_t row_bytes = result_numel(writer) / rows * itemsize(writer->dtype);
  int64_t step = row_bytes, last = input.data - writer->data + itemsize(input.dtype);
  int inner = 0;
  for (int64_t outer = 1; outer < rows; outer *= call->shape[inner++])
    if (inner == call->ndim) return false;
  for (int d = call->ndim - 1; d >= inner; --d) {
    if (input.strides[d] < 0) return false;
    last += (call->shape[d] - 1) * input.strides[d];
  }
  for (int d = inner - 1; d >= 0; --d) {
    if (call->shape[d] != 1 && input.strides[d] != step) return false;
    step *= call->shape[d];
  }
  return step == row_bytes * rows && input.data >= writer->data && last <= row_bytes;
}

// One pass, or several that go through as many rows.
class Sweep {
 public:
  Sweep(Pass& first, int id) : id_(id) {
    if (first.row()) rows_ = first.numel() / first.row();
    if (rows_ <= 1 || rows_ < num_threads() || !first.comes_in(rows_)) rows_ = 0;
    add(first);
  }

  // Takes the pass along, if nothing that it reads is yet to be written then.
  bool take(Pass& pass) {
    if (!rows_ || !pass.comes_in(rows_)) return false;
    for (const Deferred* call : pass)
      for (int k = 0; k < call->count; ++k) {
        const Deferred::Input& input = call->inputs[k];
        const Deferred* writer = read_of_another_pass(call, input);
        if (!writer) continue;
        if (writer->sweep < 0) return false;
        if (writer->sweep == id_ && writer == input.after && !reads_its_part(call, input, rows_)) return false;
      }
    add(pass);
    return true;
  }

  bool several() const { return passes_.size() > 1; }

  // Where results go that no tensor holds: to memory of their own, or each thread's for the rows that it is at.
  void place(Deferred* call) {
    call->data = nullptr;
    if (several() && !call->read_later) {
      call->local = local_bytes_;
      local_bytes_ += (part() * (call->numel / rows_) * itemsize(call->dtype) + 63) / 64 * 64;
      return;
    }
    const size_t bytes = static_cast<size_t>(call->numel * itemsize(call->dtype));
    if (!call->spilled) call->spilled = allocate(bytes);
    if (!call->spilled) throw std::bad_alloc();
    call->data = static_cast<char*>(call->spilled);
  }

  void run() {
    for (Pass* pass : passes_) pass->prepare();
    if (several())
      parallel(rows_, part(), [this](int64_t begin, int64_t end) { range(begin, end); });
    else
      passes_[0]->run();
  }

 private:
  void add(Pass& pass) {
    for (Deferred* call : pass) call->sweep = id_;
    passes_.push_back(&pass);
    widest_ = std::max(widest_, pass.row_bytes(rows_));
  }

  // Rows that go through all passes at once.
  int64_t part() const { return std::clamp<int64_t>(kPartBytes / widest_, 1, std::max<int64_t>(1, rows_ / 4)); }

  void range(int64_t begin, int64_t end) {
    int64_t beyond = 0;
    for (const Pass* pass : passes_) beyond = std::max(beyond, pass->beyond_stack());
    Pass::Memory memory(beyond);
    std::vector<Pass::Table> tables(passes_.size());
    for (size_t p = 0; p < passes_.size(); ++p) passes_[p]->set_up(tables[p], memory);
    Scratch<char> local(local_bytes_);
    for (int64_t row = begin; row < end; row += part()) {
      const int64_t next = std::min(end, row + part());
      for (size_t p = 0; p < passes_.size(); ++p) {
        const int64_t length = passes_[p]->numel() / rows_;
        passes_[p]->range(tables[p], row * length, next * length, local.data());
      }
    }
    if (std::any_of(passes_.begin(), passes_.end(), [](const Pass* pass) { return pass->streams(); })) past_cache_end();
  }

  int id_;
  int64_t rows_ = 0, widest_ = 1, local_bytes_ = 0;
  std::vector<Pass*> passes_;
};

}  // namespace

void run_calls(std::vector<Deferred*>& calls) {
  for (Deferred* call : calls) {
    call->sweep = -1;
    call->read_soon = call->read_later = false;
  }
  std::vector<Pass> passes;
  passes.reserve(calls.size());
  for (auto at = calls.begin(); at != calls.end();) {
    const Deferred* first = *at;
    const auto same = [first](const Deferred* call) { return call->level == first->level && call->same_shape(*first); };
    const auto rest = std::stable_partition(at, calls.end(), same);
    passes.emplace_back(&*at, static_cast<size_t>(rest - at));
    at = rest;
  }
  std::vector<Sweep> sweeps;
  sweeps.reserve(passes.size());
  std::vector<bool> taken(passes.size());
  for (size_t i = 0; i < passes.size(); ++i) {
    if (taken[i]) continue;
    Sweep& sweep = sweeps.emplace_back(passes[i], static_cast<int>(sweeps.size()));
    for (size_t j = i + 1; j < passes.size(); ++j)
      if (!taken[j]) taken[j] = sweep.take(passes[j]);
  }
  for (const Deferred* call : calls)
    for (int k = 0; k < call->count; ++k)
      if (Deferred* writer = read_of_another_pass(call, call->inputs[k]))
        (writer->sweep == call->sweep ? writer->read_soon : writer->read_later) = true;
  for (Deferred* call : calls)
    if (call->spills) sweeps[static_cast<size_t>(call->sweep)].place(call);
  for (Sweep& sweep : sweeps) sweep.run();
}

}  // namespace atled::core
