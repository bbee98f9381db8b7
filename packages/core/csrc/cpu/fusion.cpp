#include "cpu/fusion.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>

#include "dispatch/dispatch.h"
#include "dispatch/error.h"
#include "memory/allocator.h"

namespace atled::core {

int64_t fusion_limit = 16384;
std::atomic<int64_t> fused_calls{0}, fused_runs{0};

namespace {

// A memory operand whose rows are shorter is not worth a pass that goes row by row.
constexpr int64_t kShortestRow = 128;

// Lets go of the GIL for work that is worth it.
class Ungiled {
 public:
  explicit Ungiled(int64_t work) : token_(work >= (1 << 15) && release_gil ? release_gil() : nullptr) {}
  ~Ungiled() {
    if (token_) acquire_gil(token_);
  }
  Ungiled(const Ungiled&) = delete;
  Ungiled& operator=(const Ungiled&) = delete;

 private:
  void* token_;
};

// Guards every region, and the `deferred` of every storage. A thread that waits for it lets go of the GIL, which its
// holder may want back after a pass.
std::recursive_mutex& gate() {
  static auto* mutex = new std::recursive_mutex;
  return *mutex;
}

class Gate {
 public:
  Gate() {
    if (gate().try_lock()) return;
    const Ungiled waiting(std::numeric_limits<int64_t>::max());
    gate().lock();
  }
  ~Gate() { gate().unlock(); }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
};

bool same_shape(const Deferred* a, const Deferred* b) {
  return a->ndim == b->ndim && std::equal(a->shape, a->shape + a->ndim, b->shape);
}

// How many of the last elements of the shape lie side by side, or are one element over and over; 0 where neighbours are
// neither.
int64_t row_length(const Deferred* call, const int64_t* strides, int64_t item) {
  int64_t row = 1;
  bool fixed = false;
  for (int d = call->ndim - 1; d >= 0; --d) {
    if (call->shape[d] == 1) continue;
    if (row == 1) {
      fixed = strides[d] == 0;
      if (!fixed && strides[d] != item) return 0;
    } else if (strides[d] != (fixed ? 0 : row * item)) {
      break;
    }
    row *= call->shape[d];
  }
  return row;
}

// Sets a storage free of the call that was to write it.
void detach(Storage* storage) {
  __atomic_store_n(&storage->deferred, nullptr, __ATOMIC_RELEASE);
  __atomic_fetch_and(&storage->version.keys, ~kDeferredKey, __ATOMIC_RELAXED);
}

void attach(Storage* storage, Deferred* call) {
  __atomic_store_n(&storage->deferred, call, __ATOMIC_RELEASE);
  __atomic_fetch_or(&storage->version.keys, kDeferredKey, __ATOMIC_RELAXED);
}

}  // namespace

bool Deferred::is(const atled_tensor* t) const {
  return t->dl.data == data && t->dtype == dtype && t->dl.ndim == ndim && (t->flags & ATLED_TENSOR_CONTIGUOUS) &&
         std::equal(shape, shape + ndim, t->dl.shape);
}

// ---- a region ----

Deferred* FusionRegion::blank() {
  if (count_ == calls_.size()) calls_.push_back(std::make_unique<Deferred>());
  return calls_[count_].get();
}

void FusionRegion::keep(Deferred* call) {
  for (int k = 0; k < call->count; ++k)
    if (Storage* memory = call->inputs[k].storage) memory->refs.fetch_add(1, std::memory_order_relaxed);
  ++count_;
}

bool FusionRegion::reads(const Storage* storage) const {
  for (size_t i = 0; i < count_; ++i) {
    if (calls_[i]->home == storage) continue;
    for (int k = 0; k < calls_[i]->count; ++k)
      if (calls_[i]->inputs[k].storage == storage) return true;
  }
  return false;
}

// Finds out which calls are needed, and which pass each of them belongs to.
void FusionRegion::plan() {
  needed_.clear();
  for (size_t i = count_; i-- > 0;) {
    Deferred* call = calls_[i].get();
    call->needed |= call->storage != nullptr;
    if (!call->needed) continue;
    for (int k = 0; k < call->count; ++k)
      if (Deferred* from = call->inputs[k].from) from->needed = true;
  }
  for (size_t i = 0; i < count_; ++i) {
    Deferred* call = calls_[i].get();
    if (!call->needed) continue;
    needed_.push_back(call);
    for (int k = 0; k < call->count; ++k) {
      const Deferred::Input& input = call->inputs[k];
      if (input.from) call->level = std::max(call->level, input.from->level);
      if (input.after) call->level = std::max(call->level, input.after->level + 1);
    }
  }
  for (Deferred* call : needed_)
    for (int k = 0; k < call->count; ++k) {
      Deferred* from = call->inputs[k].from;
      if (!from || from->level == call->level || from->written()) continue;
      from->spilled = allocate(static_cast<size_t>(from->numel * itemsize(from->dtype)));
      if (!from->spilled) throw std::bad_alloc();
      from->data = static_cast<char*>(from->spilled);
    }
  std::stable_sort(needed_.begin(), needed_.end(),
                   [](const Deferred* a, const Deferred* b) { return a->level < b->level; });
}

void FusionRegion::clear() noexcept {
  const size_t n = count_;
  for (size_t i = 0; i < n; ++i)
    if (calls_[i]->storage) detach(calls_[i]->storage);
  count_ = 0;
  for (size_t i = 0; i < n; ++i) {
    Deferred* call = calls_[i].get();
    if (call->spilled) deallocate(call->spilled, static_cast<size_t>(call->numel * itemsize(call->dtype)));
    for (int k = 0; k < call->count; ++k)
      if (call->inputs[k].storage) release_storage(call->inputs[k].storage);
  }
}

void FusionRegion::run() {
  struct Cleared {
    FusionRegion* region;
    ~Cleared() { region->clear(); }
  };
  plan();
  int64_t work = 0;
  for (const Deferred* call : needed_) work += call->numel;
  const Ungiled ungiled(work);
  const Cleared cleared{this};
  fused_runs.fetch_add(static_cast<int64_t>(needed_.size()), std::memory_order_relaxed);
  for (auto at = needed_.begin(); at != needed_.end();) {
    const Deferred* first = *at;
    auto same = [&](const Deferred* call) { return call->level == first->level && same_shape(call, first); };
    const auto rest = std::stable_partition(at, needed_.end(), same);
    run_pass(&*at, static_cast<size_t>(rest - at));
    at = rest;
  }
}

// ---- putting a call off ----

bool Deferral::set_input(Deferred* call, const Elementwise::Operand& o) const {
  Deferred::Input& input = call->inputs[call->count++];
  input.from = input.after = nullptr;
  input.storage = nullptr;
  input.loop_dtype = input.dtype = o.dtype;
  if (!o.tensor) {
    input.data = nullptr;
    std::memcpy(input.number, o.data, static_cast<size_t>(itemsize(o.dtype)));
    return true;
  }
  const atled_tensor* t = o.tensor;
  Storage* storage = impl(t)->storage;
  Deferred* writer = storage->deferred;
  input.dtype = t->dtype;
  if (writer && writer->is(t) && same_shape(call, writer)) {
    input.from = writer;
    return true;
  }
  const int shift = call->ndim - t->dl.ndim;
  if (shift < 0) return false;
  const int64_t item = itemsize(t->dtype);
  for (int d = 0; d < call->ndim; ++d) {
    const int from = d - shift;
    const bool one = from < 0 || t->dl.shape[from] == 1;
    if (!one && t->dl.shape[from] != call->shape[d]) return false;
    input.strides[d] = one ? 0 : t->dl.strides[from] * item;
  }
  const int64_t row = row_length(call, input.strides, item);
  if (row != call->numel && row < kShortestRow) return false;
  input.storage = storage;
  input.after = writer;
  input.data = static_cast<char*>(t->dl.data);
  return true;
}

bool Deferral::fill(Deferred* call, const Elementwise& e) const {
  const Elementwise::Operand& result = e.operands_[0];
  const atled_tensor* out = result.tensor;
  if (e.outputs_ != 1 || e.anchors_ || !is_contiguous(out) || out->dl.ndim > Deferred::kDims) return false;
  call->ndim = out->dl.ndim;
  std::copy(out->dl.shape, out->dl.shape + call->ndim, call->shape);
  call->numel = numel(out);
  call->dtype = out->dtype;
  call->loop_dtype = result.dtype;
  call->data = static_cast<char*>(out->dl.data);
  call->home = call->storage = impl(out)->storage;
  call->region = region_;
  call->spilled = nullptr;
  call->needed = false;
  call->level = 0;
  call->count = 0;
  for (int k = 1; k < e.count_; ++k)
    if (!set_input(call, e.operands_[k])) return false;
  if (target_ && (target_->lent || target_->foreign)) return false;
  // What is written in place is read by the call itself only, element by element.
  for (int k = 0; target_ && k < call->count; ++k) {
    const Deferred::Input& input = call->inputs[k];
    if (input.storage == target_ && (input.after || input.data != call->data || input.dtype != call->dtype))
      return false;
  }
  return true;
}

void Deferral::take(const Elementwise& e, atled_loop loop, const void* ctx, size_t ctx_bytes) {
  call_ = nullptr;
  if ((ctx && ctx_bytes == 0) || ctx_bytes > Deferred::kContext) return;
  Deferred* call = region_->blank();
  if (!fill(call, e)) return;
  call->loop = loop;
  if (ctx_bytes) std::memcpy(call->context, ctx, ctx_bytes);
  call_ = call;
}

Fate defer(const KernelEntry& entry, atled_frame* frame) noexcept {
  Fate fate = Fate::kRefused;
  const int status = guard([&] {
    FusionRegion* region = thread_state.region;
    const Gate gate;
    for (int i = 0; i < as_op(frame->op)->tensor_arg_count; ++i) {
      const atled_value& v = frame->args[as_op(frame->op)->tensor_args[i]];
      if (v.tag != ATLED_TENSOR) continue;
      if (v.u.tensor->dl.device.device_type != kDLCPU) return;
      const Deferred* writer = impl(v.u.tensor)->storage->deferred;
      if (writer && writer->region != region) check(settle(v.u.tensor));
    }
    const bool inplace = frame->flags & ATLED_CALL_INPLACE;
    atled_tensor* out = out_tensor(frame);
    Storage* target = inplace ? impl(out)->storage : nullptr;
    const bool clashes = inplace && ((target->deferred && !target->deferred->is(out)) || region->reads(target));
    if (region->full() || clashes) region->run();
    Deferral deferral(region, target);
    thread_state.deferral = &deferral;
    const int asked = entry.run(entry.ctx, frame);
    thread_state.deferral = nullptr;
    check(asked);
    Deferred* call = deferral.call();
    if (!call) return;
    // Nobody can ask any more for what is written over.
    if (Deferred* before = call->storage->deferred) before->storage = nullptr;
    region->keep(call);
    fused_calls.fetch_add(1, std::memory_order_relaxed);
    attach(call->storage, call);
    fate = Fate::kDeferred;
  });
  return status == ATLED_OK ? fate : Fate::kFailed;
}

// ---- what the rest of core calls ----

int settle_storage(Storage* storage) noexcept {
  return guard([&] {
    const Gate gate;
    if (!storage->deferred) return;
    FusionRegion* region = storage->deferred->region;
    region->run();
    if (region->depth == 0) delete region;  // that leave_region could not settle
  });
}

int settle_region() noexcept {
  FusionRegion* region = thread_state.region;
  if (!region) return ATLED_OK;
  return guard([&] {
    const Gate gate;
    if (!region->empty()) region->run();
  });
}

void forget(Storage* storage) noexcept {
  const Gate gate;
  if (storage->deferred) storage->deferred->storage = nullptr;
  storage->deferred = nullptr;
}

int enter_region() noexcept {
  return guard([&] {
    if (!thread_state.region) thread_state.region = new FusionRegion;
    ++thread_state.region->depth;
  });
}

int leave_region() noexcept {
  FusionRegion* region = thread_state.region;
  if (!region) return set_error(ATLED_E_RUNTIME, "fuse: expected to end in the thread that began it");
  if (region->depth > 1) {
    --region->depth;
    return ATLED_OK;
  }
  const int status = settle_region();
  thread_state.region = nullptr;
  region->depth = 0;
  if (status == ATLED_OK) delete region;
  return status;
}

}  // namespace atled::core
