// Fusion: inside a region (atled.core.fuse) element-wise calls are put off, and what was put off is run together, in
// one pass over memory, when somebody needs a value. docs/fusion.md tells the story; cpu/fusion.h has the parts.
//
// A call that is put off has given its result already: a tensor whose memory is there and yet to be written. The
// storage says so by `deferred`, and by kDeferredKey in the keys that all its tensors share, so that the dispatcher
// sees it in the look at the keys that it takes anyway. Whoever reads or writes memory other than through a call
// settles first. Every function may be called from any thread.
#pragma once

#include "dispatch/op.h"
#include "dispatch/thread_state.h"
#include "tensor/tensor.h"

namespace atled::core {

// Regions of a thread nest; the end of the outermost one settles it.
int enter_region() noexcept;
int leave_region() noexcept;

enum class Fate { kDeferred, kRefused, kFailed };
// Puts the call off, if its kernel is of a kind that can be: nothing of it has run when it is refused. kFailed: the
// error state is set. frame has its outputs.
Fate defer(const KernelEntry& entry, atled_frame* frame) noexcept;

int settle_storage(Storage* storage) noexcept;
// t's memory holds its values when this returns.
inline int settle(const atled_tensor* t) noexcept {
  Storage* storage = impl(t)->storage;
  return __builtin_expect(__atomic_load_n(&storage->deferred, __ATOMIC_ACQUIRE) != nullptr, 0) ? settle_storage(storage)
                                                                                               : ATLED_OK;
}
int settle_readers_of(const Storage* storage) noexcept;
// No call that was put off, by whatever thread, reads t's memory any more when this returns: it may be written.
inline int settle_readers(const atled_tensor* t) noexcept {
  const Storage* storage = impl(t)->storage;
  return __builtin_expect(storage->readers.load(std::memory_order_acquire) != 0, 0) ? settle_readers_of(storage)
                                                                                    : ATLED_OK;
}
// All that this thread has put off has run when this returns.
int settle_region() noexcept;
inline void take_back(const atled_tensor* t) noexcept {
  impl(t)->storage->lent.fetch_sub(1, std::memory_order_relaxed);
}
// Before others may read t's memory and write it, at any time: until take_back, no call that reads it is put off.
inline int lend(const atled_tensor* t) noexcept {
  impl(t)->storage->lent.fetch_add(1, std::memory_order_relaxed);
  int status = settle(t);
  if (status == ATLED_OK) status = settle_readers(t);
  if (status != ATLED_OK) take_back(t);
  return status;
}

// Called when a storage dies that a call was yet to write.
void forget(Storage* storage) noexcept;

// While it lives, this thread puts nothing off.
class Unfused {
 public:
  Unfused() : before_(thread_state.unfused) { thread_state.unfused = true; }
  ~Unfused() { thread_state.unfused = before_; }
  Unfused(const Unfused&) = delete;
  Unfused& operator=(const Unfused&) = delete;

 private:
  bool before_;
};

// Smaller results are computed at once, since they stay in the cache between calls anyway. In elements.
extern int64_t fusion_limit;
// Calls that were put off so far, and those of them that were run.
extern std::atomic<int64_t> fused_calls, fused_runs;

}  // namespace atled::core
