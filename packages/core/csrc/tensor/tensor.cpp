#include "tensor/tensor.h"

#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "dispatch/device.h"
#include "dispatch/error.h"
#include "dispatch/fusion.h"
#include "dispatch/recorder.h"
#include "dispatch/thread_state.h"
#include "memory/allocator.h"

namespace atled::core {

void (*drop_slot)(atled_tensor* t) = nullptr;
int (*call_site)(char* text, size_t size) = nullptr;

namespace {

constexpr size_t kInlineBytes = 4096;
constexpr size_t kHeader = (sizeof(Storage) + kAlignment - 1) / kAlignment * kAlignment;

Storage* make_storage(size_t nbytes, DLDevice device) {
  const bool cpu = device.device_type == kDLCPU;
  const bool inline_data = cpu && nbytes <= kInlineBytes;
  void* block = allocate(inline_data ? kHeader + nbytes : sizeof(Storage));
  if (!block) return nullptr;
  Storage* s = new (block) Storage;
  s->inline_data = inline_data;
  s->nbytes = nbytes;
  s->device = device;
  if (inline_data) {
    s->data = static_cast<char*>(block) + kHeader;
  } else if (cpu) {
    s->data = allocate(nbytes);
  } else if (device_allocate(device, nbytes, &s->data) != ATLED_OK) {
    deallocate(block, sizeof(Storage));
    return nullptr;
  }
  if (!s->data && device.device_type != ATLED_DEVICE_META) {
    deallocate(block, sizeof(Storage));
    return nullptr;
  }
  if (__builtin_expect(recording.load(std::memory_order_relaxed) != 0, 0))
    note_memory(device, static_cast<int64_t>(nbytes));
  return s;
}

}  // namespace

void release_storage(Storage* s) {
  if (s->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (__builtin_expect(__atomic_load_n(&s->deferred, __ATOMIC_ACQUIRE) != nullptr, 0)) forget(s);
  delete s->change;
  if (__builtin_expect(recording.load(std::memory_order_relaxed) != 0, 0) && !s->foreign)
    note_memory(s->device, -static_cast<int64_t>(s->nbytes));
  size_t block_bytes = sizeof(Storage);
  if (s->foreign) {
    if (s->foreign->deleter) s->foreign->deleter(s->foreign);
  } else if (s->inline_data) {
    block_bytes = kHeader + s->nbytes;
  } else if (s->device.device_type == kDLCPU) {
    deallocate(s->data, s->nbytes);
  } else {
    device_free(s->device, s->data, s->nbytes);
  }
  s->~Storage();
  deallocate(s, block_bytes);
}

namespace {

// Of memory that this thread allocates now.
uint16_t inference_flag() { return thread_state.exclude & 1 ? ATLED_TENSOR_INFERENCE : 0; }

uint16_t layout_flags(int ndim, const int64_t* shape, const int64_t* strides) {
  // Unsigned, since a view with strides of 0 may have more elements than a signed number holds.
  uint64_t expected = 1;
  bool contiguous = true;
  for (int i = ndim - 1; i >= 0; --i) {
    if (shape[i] == 0) return ATLED_TENSOR_CONTIGUOUS;
    if (shape[i] != 1 && static_cast<uint64_t>(strides[i]) != expected) contiguous = false;
    expected *= static_cast<uint64_t>(shape[i]);
  }
  return contiguous ? ATLED_TENSOR_CONTIGUOUS : 0;
}

// No tensor has sizes other than 0 that multiply to more: far more than any memory holds, and so few that counting
// elements and their bytes stays within int64.
constexpr int64_t kMost = int64_t{1} << 56;

// Takes over one reference to storage.
TensorImpl* make_tensor(Storage* storage, void* data, int dtype, DLDataType dl_dtype, int ndim, const int64_t* shape,
                        const int64_t* strides, DLDevice device) {
  void* block = allocate(sizeof(TensorImpl));
  if (!block) return nullptr;
  TensorImpl* t = new (block) TensorImpl;
  int64_t* dims = t->inline_dims;
  if (ndim > TensorImpl::kInlineDims) {
    dims = static_cast<int64_t*>(allocate(sizeof(int64_t) * 2 * static_cast<size_t>(ndim)));
    if (!dims) {
      t->~TensorImpl();
      deallocate(block, sizeof(TensorImpl));
      return nullptr;
    }
  }
  int64_t* own_strides = dims + (ndim > TensorImpl::kInlineDims ? ndim : TensorImpl::kInlineDims);
  bool contiguous = strides == nullptr;
  uint64_t numel = 1, step = 1;
  for (int i = ndim - 1; i >= 0; --i) {
    const uint64_t size = static_cast<uint64_t>(shape[i]);
    dims[i] = shape[i];
    // A stride beyond kMost leads nowhere: its dimension has at most one element.
    const int64_t stride = contiguous ? static_cast<int64_t>(step) : strides[i];
    own_strides[i] = stride > kMost || stride < -kMost ? 0 : stride;
    step *= size > 1 ? size : 1;
    numel *= size;
  }
  t->dl = DLTensor{data, device, ndim, dl_dtype, dims, own_strides, 0};
  t->keys = 0;
  t->version = &storage->version;
  t->autograd = nullptr;
  t->dtype = static_cast<uint8_t>(dtype);
  t->device_slot = device_slot(device.device_type);
  t->flags =
      static_cast<uint16_t>((contiguous ? uint16_t{ATLED_TENSOR_CONTIGUOUS} : layout_flags(ndim, dims, own_strides)) |
                            (storage->readonly ? ATLED_TENSOR_READONLY : 0));
  t->reserved = 0;
  t->storage = storage;
  t->numel = numel;
  return t;
}

int out_of_memory(int64_t nbytes) {
  char text[320];
  explain_refusal(nbytes, text, sizeof text);
  return set_error(ATLED_E_MEMORY, text);
}

}  // namespace

TensorImpl* make_empty(int dtype, int ndim, const int64_t* shape, const int64_t* strides, DLDevice device) noexcept {
  if (ndim < 0 || ndim > ATLED_MAX_NDIM) {
    char text[96];
    snprintf(text, sizeof text, "expected at most %d dimensions, got %d", ATLED_MAX_NDIM, ndim);
    set_error(ATLED_E_SHAPE, text);
    return nullptr;
  }
  int64_t numel = 1, extent = 1;  // in elements
  bool empty = false, many = false, overflow = false;
  for (int i = 0; i < ndim; ++i) {
    if (shape[i] < 0) {
      char text[96];
      snprintf(text, sizeof text, "expected sizes >= 0, got %lld for dim %d", static_cast<long long>(shape[i]), i);
      set_error(ATLED_E_SHAPE, text);
      return nullptr;
    }
    empty |= shape[i] == 0;
    if (shape[i] != 0) many |= __builtin_mul_overflow(numel, shape[i], &numel);
    int64_t span = 0;
    if (strides && shape[i] > 1) {
      overflow |= __builtin_mul_overflow(shape[i] - 1, strides[i], &span);
      overflow |= __builtin_add_overflow(extent, span, &extent);
    }
  }
  int64_t count = strides ? extent : numel, nbytes = 0;
  overflow |=
      __builtin_mul_overflow(count, static_cast<int64_t>(itemsize(dtype)), &nbytes) || nbytes > (int64_t{1} << 46);
  if (empty) nbytes = 0;
  if (many || numel > kMost || (!empty && overflow)) {
    set_error(ATLED_E_MEMORY, "expected a tensor of less than 2^46 bytes");
    return nullptr;
  }
  Storage* storage = make_storage(static_cast<size_t>(nbytes), device);
  if (!storage && thread_state.region && settle_region() == ATLED_OK)  // what was put off keeps what it reads
    storage = make_storage(static_cast<size_t>(nbytes), device);
  if (!storage) {
    if (device.device_type == kDLCPU) out_of_memory(nbytes);
    return nullptr;
  }
  DLDataType dl_dtype{dtype_infos[dtype].code, dtype_infos[dtype].bits, 1};
  TensorImpl* t = make_tensor(storage, storage->data, dtype, dl_dtype, ndim, shape, strides, device);
  if (!t) {
    release_storage(storage);
    out_of_memory(nbytes);
    return nullptr;
  }
  t->flags |= inference_flag();
  return t;
}

int make_view(atled_tensor* base, int dtype, int ndim, const int64_t* shape, const int64_t* strides, int64_t offset,
              TensorImpl** out) noexcept {
  Storage* storage = impl(base)->storage;
  const int64_t item = itemsize(dtype);
  if (ndim < 0 || ndim > ATLED_MAX_NDIM) return set_error(ATLED_E_SHAPE, "expected at most 64 dimensions");
  int64_t low = offset, high = offset, numel = 1;
  bool empty = false, many = false, overflow = false;
  for (int i = 0; i < ndim; ++i) {
    int64_t span = 0;
    if (shape[i] < 0) return set_error(ATLED_E_SHAPE, "expected sizes >= 0 in a view");
    if (shape[i] == 0) empty = true;
    if (shape[i] <= 1) continue;
    many |= __builtin_mul_overflow(numel, shape[i], &numel);
    overflow |= __builtin_mul_overflow(shape[i] - 1, strides[i], &span);
    overflow |= __builtin_add_overflow(span < 0 ? low : high, span, span < 0 ? &low : &high);
  }
  if (many || numel > kMost) return set_error(ATLED_E_SHAPE, "expected a view of at most 2^56 elements");
  char* data = static_cast<char*>(base->dl.data);
  if (empty) {
    offset = 0;
  } else {
    const char* begin = static_cast<const char*>(storage->data);
    // Rounded so that the first and the last element lie inside as a whole.
    const int64_t before = (data - begin) / item,
                  after = (static_cast<int64_t>(storage->nbytes) - (data - begin)) / item;
    if (overflow || low < -before || high >= after)
      return set_error(ATLED_E_BOUNDS,
                       "expected a view inside the storage, but its sizes, strides and offset reach outside it");
  }
  storage->refs.fetch_add(1, std::memory_order_relaxed);
  DLDataType dl_dtype{dtype_infos[dtype].code, dtype_infos[dtype].bits, 1};
  TensorImpl* t = make_tensor(storage, data ? data + offset * item : nullptr, dtype, dl_dtype, ndim, shape, strides,
                              base->dl.device);
  if (!t) {
    release_storage(storage);
    return out_of_memory(sizeof(TensorImpl));
  }
  t->flags |= ATLED_TENSOR_VIEW | (base->flags & (ATLED_TENSOR_READONLY | ATLED_TENSOR_INFERENCE));
  *out = t;
  return ATLED_OK;
}

namespace {

// base's storage seen with any layout, which the caller knows to lie inside.
int view_as(atled_tensor* base, void* data, int dtype, int ndim, const int64_t* shape, const int64_t* strides,
            TensorImpl** out) {
  Storage* storage = impl(base)->storage;
  storage->refs.fetch_add(1, std::memory_order_relaxed);
  DLDataType dl_dtype{dtype_infos[dtype].code, dtype_infos[dtype].bits, 1};
  *out = make_tensor(storage, data, dtype, dl_dtype, ndim, shape, strides, base->dl.device);
  if (!*out) {
    release_storage(storage);
    return out_of_memory(sizeof(TensorImpl));
  }
  (*out)->flags |= ATLED_TENSOR_VIEW | (base->flags & (ATLED_TENSOR_READONLY | ATLED_TENSOR_INFERENCE));
  return ATLED_OK;
}

}  // namespace

int view_storage(atled_tensor* base, int dtype, TensorImpl** out) noexcept {
  const int64_t n = static_cast<int64_t>(impl(base)->storage->nbytes) / itemsize(dtype);
  return view_as(base, impl(base)->storage->data, dtype, 1, &n, nullptr, out);
}

int view_bits(atled_tensor* base, int dtype, TensorImpl** out) noexcept {
  int64_t shape[ATLED_MAX_NDIM], strides[ATLED_MAX_NDIM];
  const int ndim = base->dl.ndim, from = itemsize(base->dtype), to = itemsize(dtype), last = ndim - 1;
  if (from != to && (ndim == 0 || base->dl.strides[last] != 1))
    return set_error(ATLED_E_SHAPE, ndim == 0 ? "expected at least one dimension for a dtype of another size"
                                              : "expected a last dimension of stride 1 for a dtype of another size");
  bool fits = true;
  for (int i = 0; i < ndim; ++i) {
    shape[i] = base->dl.shape[i];
    strides[i] = base->dl.strides[i];
    if (from == to) continue;
    int64_t& scaled = i == last ? shape[i] : strides[i];
    fits &= scaled * from % to == 0;
    scaled = scaled * from / to;
  }
  const int64_t offset = static_cast<char*>(base->dl.data) - static_cast<char*>(impl(base)->storage->data);
  if (!fits || offset % to != 0)
    return set_error(ATLED_E_SHAPE,
                     "expected a last dimension, strides and an offset that hold whole elements of the larger dtype");
  return view_as(base, base->dl.data, dtype, ndim, shape, strides, out);
}

int become(atled_tensor* tensor, const atled_tensor* source) noexcept {
  TensorImpl* t = impl(tensor);
  const DLTensor old = t->dl;
  Storage *before = t->storage, *after = impl(source)->storage;
  const int ndim = source->dl.ndim;
  const bool inside = ndim <= TensorImpl::kInlineDims;
  int64_t* dims = t->inline_dims;
  if (!inside && !(dims = static_cast<int64_t*>(allocate(sizeof(int64_t) * 2 * static_cast<size_t>(ndim)))))
    return out_of_memory(static_cast<int64_t>(sizeof(int64_t)) * 2 * ndim);
  int64_t* strides = dims + (inside ? TensorImpl::kInlineDims : ndim);
  for (int i = 0; i < ndim; ++i) {
    dims[i] = source->dl.shape[i];
    strides[i] = source->dl.strides[i];
  }
  if (old.shape != t->inline_dims) deallocate(old.shape, sizeof(int64_t) * 2 * static_cast<size_t>(old.ndim));
  t->dl = source->dl;
  t->dl.shape = dims;
  t->dl.strides = strides;
  t->numel = impl(source)->numel;
  t->dtype = source->dtype;
  t->device_slot = source->device_slot;
  const uint16_t view = before == after ? t->flags & ATLED_TENSOR_VIEW : 0;
  t->flags = static_cast<uint16_t>((source->flags & ~ATLED_TENSOR_VIEW) | view);
  if (before == after) return ATLED_OK;
  after->refs.fetch_add(1, std::memory_order_relaxed);
  // Who has saved t watches the old storage by its version, and must see that t is another now.
  if (const auto watchers = __atomic_load_n(&before->version.watchers, __ATOMIC_RELAXED)) {
    if (__atomic_fetch_add(&after->version.watchers, watchers, __ATOMIC_RELAXED) == 0 &&
        after->version.count <= before->version.count)
      __atomic_store_n(&after->version.count, before->version.count + 1, __ATOMIC_RELAXED);
  }
  t->storage = after;
  t->version = &after->version;
  release(std::exchange(t->base, nullptr));
  release_storage(before);
  return ATLED_OK;
}

void destroy(TensorImpl* t) noexcept {
  if (t->autograd && drop_slot) drop_slot(t);
  release(t->base);
  release_storage(t->storage);
  if (t->dl.shape != t->inline_dims) deallocate(t->dl.shape, sizeof(int64_t) * 2 * static_cast<size_t>(t->dl.ndim));
  t->~TensorImpl();
  deallocate(t, sizeof(TensorImpl));
}

int make_foreign(DLManagedTensorVersioned* managed, TensorImpl** out) noexcept {
  const DLTensor& dl = managed->dl_tensor;
  if (managed->version.major != DLPACK_MAJOR_VERSION)
    return set_error(ATLED_E_VALUE, "expected a DLPack tensor of version 1.x");
  int dtype = 0;
  for (; dtype < ATLED_NUM_DTYPES; ++dtype)
    if (dtype_infos[dtype].code == dl.dtype.code && dtype_infos[dtype].bits == dl.dtype.bits && dl.dtype.lanes == 1)
      break;
  if (dtype == ATLED_NUM_DTYPES) {
    char text[128];
    snprintf(text, sizeof text, "expected a DLPack tensor of a dtype that atled has, got code %d, %d bits, %d lanes",
             dl.dtype.code, dl.dtype.bits, dl.dtype.lanes);
    return set_error(ATLED_E_DTYPE, text);
  }
  if (dl.ndim < 0 || dl.ndim > ATLED_MAX_NDIM)
    return set_error(ATLED_E_SHAPE, "expected a DLPack tensor of at most 64 dimensions");
  DLDevice device = dl.device;
  if (device.device_type == kDLCUDAHost) device = DLDevice{kDLCPU, 0};
  if (device_known(device) != ATLED_OK) return ATLED_E_DEVICE;
  int64_t numel = 1;
  for (int i = 0; i < dl.ndim; ++i)
    if (dl.shape[i] < 0 || (dl.shape[i] > 0 && (__builtin_mul_overflow(numel, dl.shape[i], &numel) || numel > kMost)))
      return set_error(ATLED_E_SHAPE, "expected a DLPack tensor of sizes >= 0 and at most 2^56 elements");
  void* block = allocate(sizeof(Storage));
  if (!block) return out_of_memory(sizeof(Storage));
  // The storage spans exactly the elements, which may lie on both sides of the first one.
  int64_t low = 0, high = 0;
  bool empty = false;
  int64_t contiguous[ATLED_MAX_NDIM], step = 1;
  for (int i = dl.ndim - 1; i >= 0; --i) {
    contiguous[i] = step;
    step *= dl.shape[i];
    empty |= dl.shape[i] == 0;
  }
  const int64_t* strides = dl.strides ? dl.strides : contiguous;
  for (int i = 0; i < dl.ndim; ++i) (strides[i] < 0 ? low : high) += (dl.shape[i] - 1) * strides[i];
  const int64_t item = itemsize(dtype);
  char* first = static_cast<char*>(dl.data) + dl.byte_offset;
  Storage* s = new (block) Storage;
  s->data = empty ? first : first + low * item;
  s->nbytes = empty ? 0 : static_cast<size_t>((high - low + 1) * item);
  s->device = device;
  s->readonly = managed->flags & DLPACK_FLAG_BITMASK_READ_ONLY;
  TensorImpl* t = make_tensor(s, first, dtype, dl.dtype, dl.ndim, dl.shape, strides, device);
  if (!t) {
    release_storage(s);
    return out_of_memory(sizeof(TensorImpl));
  }
  t->flags |= inference_flag();
  s->foreign = managed;
  *out = t;
  return ATLED_OK;
}

namespace {
struct Exported {
  DLManagedTensorVersioned managed;
  atled_tensor* tensor;
};
}  // namespace

int export_dlpack(atled_tensor* t, DLManagedTensorVersioned** out) noexcept {
  if (t->keys & ATLED_KEY_OPAQUE)
    return set_error(ATLED_E_AUTOGRAD, "expected a tensor whose memory holds its values, got one inside vmap");
  if (t->dl.device.device_type == ATLED_DEVICE_META)
    return set_error(ATLED_E_DEVICE, "a meta tensor has no data to export");
  Exported* e = new (std::nothrow) Exported;
  if (!e) return out_of_memory(sizeof(Exported));
  // Not t itself, which may become another tensor (Tensor.data, set_, t_) while its memory is lent out.
  TensorImpl* memory = nullptr;
  if (int status = make_view(t, t->dtype, t->dl.ndim, t->dl.shape, t->dl.strides, 0, &memory)) {
    delete e;
    return status;
  }
  if (const int status = lend(memory)) {
    release(memory);
    delete e;
    return status;
  }
  e->tensor = memory;
  e->managed.version = DLPackVersion{DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
  e->managed.manager_ctx = e;
  e->managed.flags = (t->flags & ATLED_TENSOR_READONLY) ? DLPACK_FLAG_BITMASK_READ_ONLY : 0;
  e->managed.dl_tensor = memory->dl;
  e->managed.deleter = [](DLManagedTensorVersioned* self) {
    Exported* exported = static_cast<Exported*>(self->manager_ctx);
    take_back(exported->tensor);
    release(exported->tensor);
    delete exported;
  };
  *out = &e->managed;
  return ATLED_OK;
}

int take_storage(atled_tensor* t, atled_tensor* from) noexcept {
  if (const int status = settle(t)) return status;
  if (const int status = settle_readers(t)) return status;
  TensorImpl* self = impl(t);
  Storage *old = self->storage, *fresh = impl(from)->storage;
  if (self->base && self->base->refs.load() == 1) release(std::exchange(self->base, nullptr));  // nobody else has it
  if (self->refs.load() != 1 || old->refs.load() != 1)
    return set_error(
        ATLED_E_RUNTIME,
        "expected a tensor that nothing else refers to, but views, arrays or a recorded graph look into its "
        "memory; do this before making them");
  if (old->device.device_type != kDLCPU || fresh->nbytes < old->nbytes)
    return set_error(ATLED_E_VALUE, "expected room for the elements of a tensor on cpu");
  if (old->nbytes) memcpy(fresh->data, old->data, old->nbytes);
  t->dl.data = static_cast<char*>(fresh->data) + (static_cast<char*>(t->dl.data) - static_cast<char*>(old->data));
  fresh->version.count = old->version.count;
  fresh->refs.fetch_add(1, std::memory_order_relaxed);
  self->storage = fresh;
  t->version = &fresh->version;
  release_storage(old);
  return ATLED_OK;
}

int bump_version(atled_tensor* t, const char* op) noexcept {
  __atomic_fetch_add(&t->version->count, 1, __ATOMIC_RELAXED);
  if (__atomic_load_n(&t->version->watchers, __ATOMIC_RELAXED) == 0) return ATLED_OK;
  char site[512] = "";
  try {
    Storage* s = impl(t)->storage;
    if (!s->change) s->change = new Change;
    s->change->text = op;
    if (call_site && call_site(site, sizeof site) == ATLED_OK && site[0]) s->change->text += std::string(" at ") + site;
  } catch (const std::bad_alloc&) {
    return out_of_memory(sizeof(Change));
  }
  return ATLED_OK;
}

int last_change(atled_tensor* t, char* text, size_t size) noexcept {
  const Change* change = impl(t)->storage->change;
  snprintf(text, size, "%s", change ? change->text.c_str() : "");
  return ATLED_OK;
}

void byte_range(const atled_tensor* t, const char** begin, const char** end) {
  int64_t low = 0, high = 0;
  const int64_t item = itemsize(t->dtype);
  const char* data = static_cast<const char*>(t->dl.data);
  for (int i = 0; i < t->dl.ndim; ++i) {
    if (t->dl.shape[i] == 0) {
      *begin = *end = data;
      return;
    }
    int64_t span = (t->dl.shape[i] - 1) * t->dl.strides[i];
    (span < 0 ? low : high) += span;
  }
  *begin = data + low * item;
  *end = data + (high + 1) * item;
}

bool overlaps_itself(const atled_tensor* t) {
  for (int i = 0; i < t->dl.ndim; ++i)
    if (t->dl.shape[i] > 1 && t->dl.strides[i] == 0) return true;
  return false;
}

}  // namespace atled::core
