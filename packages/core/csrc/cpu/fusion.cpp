#include "cpu/fusion.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>
#include <new>
#include <utility>

#include "cpu/cascade.h"
#include "dispatch/dispatch.h"
#include "dispatch/error.h"
#include "memory/allocator.h"

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace atled::core {

int64_t fusion_limit = 16384;
std::atomic<int64_t> fused_calls{0}, fused_runs{0};

namespace {

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

// Whether neighbours along the last dimension lie side by side, or are one element over and over.
bool runs_along_rows(const Deferred* call, const int64_t* strides, int64_t item) {
  for (int d = call->ndim - 1; d >= 0; --d)
    if (call->shape[d] != 1) return strides[d] == 0 || strides[d] == item;
  return true;
}

// Of all threads.
std::vector<FusionRegion*>& regions() {
  static auto* list = new std::vector<FusionRegion*>;
  return *list;
}

void drop_region(FusionRegion* region) {
  regions().erase(std::find(regions().begin(), regions().end(), region));
  delete region;
}

void run_region(FusionRegion* region) {
  region->run();
  if (region->depth == 0) drop_region(region);  // that leave_region could not settle
}

// Sets a storage free of the call that was to write it. Whoever sees that may free the storage at once, so it is last.
void detach(Storage* storage) {
  __atomic_fetch_and(&storage->version.keys, ~kDeferredKey, __ATOMIC_RELEASE);
  __atomic_store_n(&storage->deferred, nullptr, __ATOMIC_RELEASE);
}

void attach(Storage* storage, Deferred* call) {
  __atomic_store_n(&storage->deferred, call, __ATOMIC_RELEASE);
  __atomic_fetch_or(&storage->version.keys, kDeferredKey, __ATOMIC_RELAXED);
}

}  // namespace

bool Deferred::same_shape(const Deferred& other) const {
  return ndim == other.ndim && std::equal(shape, shape + ndim, other.shape);
}

bool Deferred::is(const atled_tensor* t) const {
  return !reduction && t->dl.data == data && t->dtype == dtype && t->dl.ndim == ndim &&
         (t->flags & ATLED_TENSOR_CONTIGUOUS) && std::equal(shape, shape + ndim, t->dl.shape);
}

// ---- a region ----

Deferred* FusionRegion::blank() {
  if (count_ == calls_.size()) calls_.push_back(std::make_unique<Deferred>());
  return calls_[count_].get();
}

void FusionRegion::keep(Deferred* call) {
  for (int k = 0; k < call->count; ++k) {
    Storage* memory = call->inputs[k].storage;
    if (!memory) continue;
    held_.push_back(memory);
    memory->refs.fetch_add(1, std::memory_order_relaxed);
    memory->readers.fetch_add(1, std::memory_order_release);
  }
  ++count_;
}

size_t FusionRegion::idle_bytes() const {
  size_t bytes = 0;
  for (const Storage* memory : held_) {
    const uint32_t readers = memory->readers.load(std::memory_order_relaxed);
    if (memory->refs.load(std::memory_order_relaxed) == readers) bytes += memory->nbytes / readers;
  }
  for (size_t i = 0; i < count_; ++i) {
    const Deferred* call = calls_[i].get();
    if (call->reduced && !call->storage) bytes += static_cast<size_t>(call->numel * itemsize(call->dtype));
  }
  return bytes;
}

bool FusionRegion::reads(const Storage* storage) const {
  return std::find(held_.begin(), held_.end(), storage) != held_.end();
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
      if (from && from->level != call->level) from->spills |= !from->storage;
    }
  std::stable_sort(needed_.begin(), needed_.end(),
                   [](const Deferred* a, const Deferred* b) { return a->level < b->level; });
}

void FusionRegion::clear() noexcept {
  for (size_t i = 0; i < count_; ++i) {
    const Deferred* call = calls_[i].get();
    if (call->storage) detach(call->storage);
    if (call->spilled) deallocate(call->spilled, static_cast<size_t>(call->numel * itemsize(call->dtype)));
  }
  count_ = 0;
  for (Storage* memory : held_) {
    memory->readers.fetch_sub(1, std::memory_order_release);
    release_storage(memory);
  }
  held_.clear();
}

void FusionRegion::run() {
  plan();
  {
    int64_t work = 0;
    for (const Deferred* call : needed_) work += call->numel;
    const Ungiled ungiled(work);
    run_calls(needed_);
  }
  fused_runs.fetch_add(static_cast<int64_t>(needed_.size()), std::memory_order_relaxed);
  clear();
}

// ---- putting a call off ----

bool Deferral::set_input(Deferred* call, const Elementwise::Operand& o) const {
  if (o.tensor) return set_input(call, o.tensor, o.dtype);
  Deferred::Input& input = call->inputs[call->count++];
  input = {};
  input.loop_dtype = input.dtype = o.dtype;
  std::memcpy(input.number, o.data, static_cast<size_t>(itemsize(o.dtype)));
  return true;
}

bool Deferral::set_input(Deferred* call, const atled_tensor* t, int loop_dtype) const {
  Deferred::Input& input = call->inputs[call->count++];
  Storage* storage = impl(t)->storage;
  Deferred* writer = storage->deferred;
  input.from = input.after = nullptr;
  input.storage = nullptr;
  input.dtype = t->dtype;
  input.loop_dtype = loop_dtype;
  if (writer && writer->is(t) && call->same_shape(*writer)) {
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
  if (!runs_along_rows(call, input.strides, item)) return false;
  if (storage->foreign || storage->lent) return false;  // its owner may write it before the call runs
  input.storage = storage;
  input.after = writer;
  input.data = static_cast<char*>(t->dl.data);
  return true;
}

bool Deferral::fill(Deferred* call, const Elementwise& e) const {
  const atled_tensor* out = e.operands_[0].tensor;
  if (e.outputs_ != 1 || e.anchors_ || out->dl.ndim > Deferred::kDims) return false;
  call->ndim = out->dl.ndim;
  std::copy(out->dl.shape, out->dl.shape + call->ndim, call->shape);
  call->numel = numel(out);
  call->loop_dtype = e.operands_[0].dtype;
  call->reduction = nullptr;
  for (int k = 1; k < e.count_; ++k)
    if (!set_input(call, e.operands_[k])) return false;
  return true;
}

Deferred* Deferral::begin(const atled_tensor* out, const void* ctx, size_t ctx_bytes) {
  call_ = nullptr;
  if (std::exchange(asked_, true) || out != out_ || !is_contiguous(out) || numel(out) == 0) return nullptr;
  if ((ctx && ctx_bytes == 0) || ctx_bytes > Deferred::kContext) return nullptr;
  Deferred* call = region_->blank();
  if (ctx_bytes) std::memcpy(call->context, ctx, ctx_bytes);
  call->dtype = out->dtype;
  call->data = static_cast<char*>(out->dl.data);
  call->storage = impl(out)->storage;
  call->region = region_;
  call->spilled = nullptr;
  call->needed = call->reduced = call->spills = false;
  call->level = 0;
  call->count = 0;
  return call;
}

void Deferral::take(const Elementwise& e, atled_loop loop, const void* ctx, size_t ctx_bytes) {
  Deferred* call = begin(e.operands_[0].tensor, ctx, ctx_bytes);
  if (!call || !fill(call, e)) return;
  call->loop = loop;
  call_ = call;
}

void Deferral::take(const atled_tensor* in, DimSet dims, const atled_tensor* out, const ReduceLoops& loops,
                    const void* r, size_t r_bytes) {
  Deferred* call = begin(out, r, r_bytes);
  if (!call || !is_contiguous(in) || in->dl.ndim > Deferred::kDims) return;
  call->length = 1;
  int d = in->dl.ndim - 1;
  for (; d >= 0 && (dims >> d & 1 || in->dl.shape[d] == 1); --d) call->length *= in->dl.shape[d];
  for (; d >= 0; --d)
    if (dims >> d & 1 && in->dl.shape[d] != 1) return;
  if (call->length <= (loops.separate ? kShort : kColumnRows)) return;  // those are taken as columns
  call->ndim = in->dl.ndim;
  std::copy(in->dl.shape, in->dl.shape + call->ndim, call->shape);
  call->numel = numel(in);
  call->loop_dtype = call->dtype;
  call->reduction = &loops;
  if (!set_input(call, in, loops.widen ? dtype_of<float> : in->dtype)) return;
  if (Deferred* from = call->inputs[0].from) from->reduced = true;
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
    if (region->full()) region->run();
    // In place only on what is yet to be written itself, which nobody has looked at.
    if (frame->flags & ATLED_CALL_INPLACE) {
      const Deferred* before = impl(out_tensor(frame))->storage->deferred;
      if (!before || !before->is(out_tensor(frame))) return;
    }
    Deferral deferral(region, out_tensor(frame));
    thread_state.deferral = &deferral;
    const int asked = entry.run(entry.ctx, frame);
    thread_state.deferral = nullptr;
    check(asked);
    Deferred* call = deferral.call();
    if (!call) return;
    region->keep(call);
    // Nobody can ask any more for what is written over.
    if (Deferred* before = call->storage->deferred) before->storage = nullptr;
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
    if (storage->deferred) run_region(storage->deferred->region);
  });
}

int settle_readers_of(const Storage* storage) noexcept {
  return guard([&] {
    const Gate gate;
    for (size_t i = regions().size(); i-- > 0;)
      if (regions()[i]->reads(storage)) run_region(regions()[i]);
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
#if !defined(_WIN32)
    // A thread that was in a pass does not exist in a child, but its hold of the gate would.
    static const int registered = pthread_atfork(nullptr, nullptr, [] { new (&gate()) std::recursive_mutex; });
    (void)registered;
#endif
    if (!thread_state.region) {
      const Gate gate;
      auto region = std::make_unique<FusionRegion>();
      regions().push_back(region.get());
      thread_state.region = region.release();
    }
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
  const Gate gate;
  region->depth = 0;
  if (region->empty()) drop_region(region);
  return status;
}

}  // namespace atled::core
