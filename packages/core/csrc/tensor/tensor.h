// Storage and TensorImpl: what stands behind atled_tensor. Both are reference counted and made from the caching
// allocator; a small storage keeps its bytes in the same block as its header.
//
// A TensorImpl is immutable in shape, strides and data once it is handed out, but for `become` (t_() and its like,
// Tensor.data); its keys and autograd slot are changed by layers.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "atled/abi.h"
#include "atled/dtype.hpp"

namespace atled::core {

struct Op;
struct Deferred;

// The last in-place change that somebody watched.
struct Change {
  std::string text;  // "add_ at train.py:12"
};

struct Storage {
  atled_version version{0, 0, 0};
  std::atomic<uint32_t> refs{1};
  bool inline_data = false;  // bytes follow the header
  bool readonly = false;
  void* data = nullptr;
  size_t nbytes = 0;
  DLDevice device{kDLCPU, 0};
  DLManagedTensorVersioned* foreign = nullptr;  // memory that somebody else owns
  Change* change = nullptr;
  Deferred* deferred = nullptr;      // the call that is yet to write it (dispatch/fusion.h)
  std::atomic<uint32_t> readers{0};  // inputs of calls that are yet to read it
  std::atomic<uint32_t> lent{0};     // by how many ways others may look into the memory between calls
};

void release_storage(Storage* s);

struct TensorImpl : atled_tensor {
  static constexpr int kInlineDims = 6;

  std::atomic<uint32_t> refs{1};
  Storage* storage = nullptr;
  TensorImpl* base = nullptr;  // what view ops made this of, owned; no view op's result itself
  uint64_t numel = 0;          // modulo 2^64, which only an expanded tensor reaches
  void* python = nullptr;      // the Python object while one lives; it owns a reference to this
  int64_t inline_dims[2 * kInlineDims];
};

inline TensorImpl* impl(atled_tensor* t) { return static_cast<TensorImpl*>(t); }
inline const TensorImpl* impl(const atled_tensor* t) { return static_cast<const TensorImpl*>(t); }

// In the keys of a storage that a deferred call is yet to write (dispatch/fusion.h); level 0 is no layer's.
constexpr uint64_t kDeferredKey = 1;

// What calls with t have to look at: the layers that want to see them, and kDeferredKey, whose absence says that the
// values are there.
inline uint64_t all_keys_of(const atled_tensor* t) {
  return t->keys | __atomic_load_n(&t->version->keys, __ATOMIC_ACQUIRE);
}
// The layers that want to see calls with t.
inline uint64_t keys_of(const atled_tensor* t) { return all_keys_of(t) & ~kDeferredKey; }

inline void retain(atled_tensor* t) { impl(t)->refs.fetch_add(1, std::memory_order_relaxed); }
void destroy(TensorImpl* t) noexcept;
inline void release(atled_tensor* t) {
  if (t && impl(t)->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(impl(t));
}

// Uninitialised memory; sets the error state and returns NULL when it cannot be had or the sizes are impossible.
TensorImpl* make_empty(int dtype, int ndim, const int64_t* shape, const int64_t* strides, DLDevice device) noexcept;
// A view of base's storage; checks that every element lies inside it.
int make_view(atled_tensor* base, int dtype, int ndim, const int64_t* shape, const int64_t* strides, int64_t offset,
              TensorImpl** out) noexcept;
// All of base's storage as a 1-d tensor of dtype.
int view_storage(atled_tensor* base, int dtype, TensorImpl** out) noexcept;
// base's bytes as another dtype; of another item size, the last dimension is longer or shorter.
int view_bits(atled_tensor* base, int dtype, TensorImpl** out) noexcept;
// t takes over source's storage, layout and dtype; its keys, slot and Python object stay. No other thread may use t.
int become(atled_tensor* t, const atled_tensor* source) noexcept;
int make_foreign(DLManagedTensorVersioned* managed, TensorImpl** out) noexcept;
int export_dlpack(atled_tensor* t, DLManagedTensorVersioned** out) noexcept;
// Moves t's elements into from's storage, of at least as many bytes, and makes it t's own. Refused while anything else
// refers to t or to its storage, which would be left with the old one.
int take_storage(atled_tensor* t, atled_tensor* from) noexcept;

// Called by the dispatcher for each in-place change.
int bump_version(atled_tensor* t, const char* op) noexcept;
int last_change(atled_tensor* t, char* text, size_t size) noexcept;

// The least and the one-past-last byte that the elements of t occupy.
void byte_range(const atled_tensor* t, const char** begin, const char** end);
// True when two index tuples may name the same element (a broadcast dimension).
bool overlaps_itself(const atled_tensor* t);

// Called when a tensor with a non-NULL autograd slot dies.
extern void (*drop_slot)(atled_tensor* t);
// Writes "file.py:12" of the user's innermost Python frame; set by the Python binding, NULL without Python.
extern int (*call_site)(char* text, size_t size);

}  // namespace atled::core
