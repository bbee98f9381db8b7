#include <algorithm>

#include "cuda/radix_sort.h"
#include "cuda/reduce.cuh"
#include "cuda/sort_plan.h"
#include "cuda/sorting.h"
#include "ops/layout.h"

namespace atled::core::cuda {

namespace {

template <class K>
__device__ __forceinline__ K key_in(const Item<K>& item) {
  if constexpr (sizeof(K) <= 4) {
    return static_cast<K>(item >> 32);
  } else {
    return item.key;
  }
}

// What is put into order: elements as they lie, or keys with the places that an earlier round left.
template <class K>
struct Unsorted {
  const K* elements;  // NULL: keys
  const K* keys;
  const uint32_t* places;
};
// Where results go: elements and indices, or keys and places for the next round. NULL where not wanted.
template <class K>
struct SortedHere {
  K* values;
  int64_t* indices;
  K* keys;
  uint32_t* places;
};

// Sorts groups of `width` items, powers of two, of `capacity` in shared memory by a bitonic network (Batcher, "Sorting
// networks and their applications", 1968). All threads of the block take part.
template <class K>
__device__ void sort_items(Item<K>* items, uint32_t width, uint32_t capacity) {
  for (uint32_t size = 2; size <= width; size *= 2)
    for (uint32_t stride = size / 2; stride > 0; stride /= 2) {
      __syncthreads();
      for (uint32_t pair = threadIdx.x; pair < capacity / 2; pair += blockDim.x) {
        const uint32_t i = 2 * pair - (pair & (stride - 1));
        const Item<K> a = items[i], b = items[i + stride];
        if ((b < a) == ((i & (width - 1) & size) == 0)) {
          items[i] = b;
          items[i + stride] = a;
        }
      }
    }
  __syncthreads();
}

// line: where the item's line begins among the elements.
template <class K>
__device__ __forceinline__ void put(const SortedHere<K>& out, int64_t to, const Item<K>& item, const K* line, int dtype,
                                    bool descending) {
  const uint32_t place = index_of(item);
  if (out.keys) {
    out.keys[to] = key_in<K>(item);
    out.places[to] = place;
    return;
  }
  if (out.indices) out.indices[to] = place;
  if (out.values) {
    K bits;
    if (!bits_as(key_in<K>(item), dtype, descending, bits)) bits = line[place];
    out.values[to] = bits;
  }
}

// Lines that fit into shared memory; the first `kept` of each are left.
template <class K>
__global__ void __launch_bounds__(kGroupThreads)
    order_kernel(const Unsorted<K> in, const SortedHere<K> out, const K* elements, const GroupPlan plan, int dtype,
                 bool descending) {
  alignas(16) __shared__ char storage[kMostGrouped * sizeof(Item<K>)];
  Item<K>* items = reinterpret_cast<Item<K>*>(storage);
  const Item<K> last = item_of(static_cast<K>(~K{0}), INT64_C(0xffffffff));
  const uint32_t width = plan.width, capacity = plan.capacity, slots = capacity / width, kept = plan.kept;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * slots; first < plan.lines;
       first += static_cast<int64_t>(gridDim.x) * slots) {
    for (uint32_t i = threadIdx.x; i < capacity; i += blockDim.x) {
      const int64_t line = first + i / width;
      const uint32_t at = i & (width - 1);
      const int64_t place = line * plan.n + at;
      items[i] = line >= plan.lines || at >= plan.n ? last
                 : in.elements                      ? item_of(key_as(in.elements[place], dtype, descending), at)
                                                    : item_of(in.keys[place], in.places[place]);
    }
    sort_items<K>(items, width, capacity);
    for (uint32_t i = threadIdx.x; i < slots * kept; i += blockDim.x) {
      const uint32_t slot = i / kept, j = i - slot * kept;
      const int64_t line = first + slot;
      if (line < plan.lines)
        put(out, line * kept + j, items[slot * width + j], elements + line * plan.length, dtype, descending);
    }
    __syncthreads();
  }
}

// The first `kept` of chunks of long lines. Elements are collected in shared memory; when that is full it is sorted,
// and from then on only elements before the kept-th are taken. Which of them come first decides nothing.
template <class K>
__global__ void __launch_bounds__(kSelectThreads)
    select_kernel(const Unsorted<K> in, const SortedHere<K> out, const K* elements, const SelectPlan plan, int dtype,
                  bool descending) {
  constexpr int N = sizeof(K) < 4 ? 8 : 4;
  alignas(16) __shared__ char storage[kMostGrouped * sizeof(Item<K>)];
  __shared__ uint32_t taken;
  Item<K>* items = reinterpret_cast<Item<K>*>(storage);
  const Item<K> last = item_of(static_cast<K>(~K{0}), INT64_C(0xffffffff));
  const uint32_t lane = threadIdx.x % 32, capacity = plan.capacity, kept = plan.kept;
  for (int64_t chunk = blockIdx.x; chunk < plan.lines * plan.chunks; chunk += gridDim.x) {
    const int64_t line = chunk / plan.chunks, begin = (chunk - line * plan.chunks) * plan.chunk_length,
                  end = begin + plan.chunk_length < plan.n ? begin + plan.chunk_length : plan.n;
    Item<K> bound = last;
    if (threadIdx.x == 0) taken = 0;
    __syncthreads();
    uint32_t count = 0;
    for (int64_t from = begin; from < end; from += N * kSelectThreads) {
      K keys[N];
      uint32_t places[N];
      bool waits[N];
#pragma unroll
      for (int k = 0; k < N; ++k) {
        const int64_t at = from + k * kSelectThreads + threadIdx.x;
        waits[k] = at < end;
        places[k] = static_cast<uint32_t>(at);
        if (waits[k]) keys[k] = (in.elements ? in.elements : in.keys)[line * plan.n + at];
        if (waits[k] && !in.elements) places[k] = in.places[line * plan.n + at];
      }
      Item<K> x[N];
#pragma unroll
      for (int k = 0; k < N; ++k) x[k] = item_of(in.elements ? key_as(keys[k], dtype, descending) : keys[k], places[k]);
      for (;;) {
#pragma unroll
        for (int k = 0; k < N; ++k) {
          waits[k] = waits[k] && x[k] < bound;
          const uint32_t all = __ballot_sync(0xffffffff, waits[k]);
          if (all == 0) continue;
          uint32_t slot = 0;
          if (lane == 0) slot = atomicAdd(&taken, static_cast<uint32_t>(__popc(all)));
          slot = __shfl_sync(0xffffffff, slot, 0) + __popc(all & ((1u << lane) - 1));
          if (waits[k] && slot < capacity) {
            items[slot] = x[k];
            waits[k] = false;
          }
        }
        __syncthreads();
        count = taken;
        __syncthreads();
        if (count <= capacity) break;
        sort_items<K>(items, capacity, capacity);
        bound = items[kept - 1];
        if (threadIdx.x == 0) taken = kept;
        __syncthreads();
      }
    }
    uint32_t width = 2;
    while (width < count || width < kept) width *= 2;
    for (uint32_t i = count + threadIdx.x; i < width; i += blockDim.x) items[i] = last;
    sort_items<K>(items, width, width);
    for (uint32_t j = threadIdx.x; j < kept; j += blockDim.x)
      put(out, chunk * kept + j, items[j], elements + line * plan.length, dtype, descending);
    __syncthreads();
  }
}

// In rounds: each leaves the first `kept` of every chunk, until a line is one.
template <class K>
void sort_groups(const K* elements, const SortedHere<K>& out, int64_t lines, int64_t n, int64_t kept, int dtype,
                 bool descending, DLDevice device) {
  const cudaStream_t stream = current_stream(device.device_id);
  Unsorted<K> in{elements, nullptr, nullptr};
  Tensor key_room, place_room;
  int64_t left = n;
  while (left > kMostGrouped) {
    const SelectPlan plan = plan_select(lines, left, n, kept);
    const int64_t after = plan.chunks * kept;
    SortedHere<K> to = out;
    Tensor next_keys, next_places;
    if (plan.chunks > 1) {
      next_keys = Tensor::empty(ATLED_UINT8, {lines * after * static_cast<int64_t>(sizeof(K))}, device);
      next_places = Tensor::empty(ATLED_UINT32, {lines * after}, device);
      to = {nullptr, nullptr, data<K>(next_keys), data<uint32_t>(next_places)};
    }
    launch(select_kernel<K>, blocks_for(lines * plan.chunks, 1), kSelectThreads, stream, in, to, elements, plan, dtype,
           descending);
    if (plan.chunks == 1) return;
    key_room = next_keys;
    place_room = next_places;
    in = {nullptr, data<K>(key_room), data<uint32_t>(place_room)};
    left = after;
  }
  const GroupPlan plan = plan_groups(lines, left, n, kept);
  launch(order_kernel<K>, blocks_for(plan.blocks(), 1), plan.threads(), stream, in, out, elements, plan, dtype,
         descending);
}

// ---- long lines: radix sorts of many lines at once ----

// The line above the key, where a word has room for both.
template <class K, class W>
__global__ void __launch_bounds__(kThreads) word_kernel(const K* in, W* words, uint32_t* places, int64_t total,
                                                        FastDivisor n, bool many, int dtype, bool descending) {
  for (int64_t i = thread_index(); i < total; i += thread_count()) {
    W word = key_as(in[i], dtype, descending);
    if constexpr (sizeof(W) > sizeof(K))
      if (many) word |= static_cast<W>(n.quotient(static_cast<uint32_t>(i))) << (8 * sizeof(K));
    words[i] = word;
    if (places) places[i] = static_cast<uint32_t>(i);
  }
}

__global__ void __launch_bounds__(kThreads)
    line_kernel(const uint32_t* places, uint32_t* lines, int64_t total, FastDivisor n) {
  for (int64_t i = thread_index(); i < total; i += thread_count()) lines[i] = n.quotient(places[i]);
}

template <class K, class W>
__global__ void __launch_bounds__(kThreads)
    deliver_kernel(const K* in, const W* words, const uint32_t* places, K* values, int64_t* indices, int64_t lines,
                   int64_t n, int64_t kept, int dtype, bool descending) {
  const int64_t total = lines * kept;
  for (int64_t i = thread_index(); i < total; i += thread_count()) {
    const int64_t line = lines == 1 ? 0 : i / kept, from = line * n + (i - line * kept);
    const uint32_t place = places ? places[from] : 0;
    if (indices) indices[i] = place - line * n;
    if (values) {
      K bits;
      if (!words || !bits_as(static_cast<K>(words[from]), dtype, descending, bits)) bits = in[place];
      values[i] = bits;
    }
  }
}

template <class K, class W>
void sort_long(const K* in, K* values, int64_t* indices, int64_t lines, int64_t n, int64_t kept, int dtype,
               bool descending, DLDevice device) {
  const int64_t total = lines * n;
  expect_sortable(total);
  const cudaStream_t stream = current_stream(device.device_id);
  const Tensor word_room = Tensor::empty(ATLED_UINT8, {2 * total * static_cast<int64_t>(sizeof(W))}, device);
  W *words = data<W>(word_room), *sorted = words + total;
  const bool many = lines > 1, joined = sizeof(W) > sizeof(K);
  const int key_bits = 8 * static_cast<int>(sizeof(K)), line_bits = bits_below(static_cast<uint64_t>(lines)),
            bits = joined && many ? key_bits + line_bits : key_bits;
  // Integers are told by their keys: without indices, places need not go along.
  const bool placed = indices || is_floating(dtype) || (many && !joined);
  const Tensor place_room = Tensor::empty(ATLED_UINT32, {placed ? 2 * total : 0}, device);
  uint32_t *places = placed ? data<uint32_t>(place_room) : nullptr, *moved = placed ? places + total : nullptr;
  const FastDivisor divisor(many ? static_cast<uint32_t>(n) : 1);
  launch(word_kernel<K, W>, blocks_for(total, kThreads), kThreads, stream, in, words, places, total, divisor, many,
         dtype, descending);
  if (placed)
    sort_pairs(words, sorted, places, moved, total, bits, device);
  else
    sort_keys(words, sorted, total, bits, device);
  if (many && !joined) {
    // Then by line, stably.
    const Tensor line_room = Tensor::empty(ATLED_UINT32, {2 * total}, device);
    uint32_t* line = data<uint32_t>(line_room);
    launch(line_kernel, blocks_for(total, kThreads), kThreads, stream, moved, line, total, divisor);
    sort_pairs(line, line + total, moved, places, total, line_bits, device);
    moved = places;
    sorted = nullptr;
  }
  launch(deliver_kernel<K, W>, blocks_for(lines * kept, kThreads), kThreads, stream, in, sorted, moved, values, indices,
         lines, n, kept, dtype, descending);
}

template <class K>
void sort_all(const K* in, K* values, int64_t* indices, int64_t lines, int64_t n, int64_t kept, int dtype,
              bool descending, DLDevice device) {
  if (sorts_in_groups(n, kept))
    return sort_groups<K>(in, {values, indices, nullptr, nullptr}, lines, n, kept, dtype, descending, device);
  const int64_t batch = lines_together(lines, n);
  for (int64_t line = 0; line < lines; line += batch) {
    const int64_t count = std::min(batch, lines - line);
    K* value = values ? values + line * kept : nullptr;
    int64_t* index = indices ? indices + line * kept : nullptr;
    const int bits = 8 * static_cast<int>(sizeof(K)) + bits_below(static_cast<uint64_t>(count));
    if (sizeof(K) < 4 ? bits <= 32 : count == 1 && sizeof(K) == 4) {
      sort_long<K, std::conditional_t<sizeof(K) <= 4, uint32_t, uint64_t>>(in + line * n, value, index, count, n, kept,
                                                                           dtype, descending, device);
    } else {
      sort_long<K, uint64_t>(in + line * n, value, index, count, n, kept, dtype, descending, device);
    }
  }
}

}  // namespace

void sort_lines(const atled_tensor* rows, bool descending, int64_t kept, const atled_tensor* values,
                const atled_tensor* indices) {
  const int64_t n = rows->dl.ndim ? rows->dl.shape[rows->dl.ndim - 1] : 1, lines = n ? numel(rows) / n : 0;
  if (n >= kMostSorted) fail(ATLED_E_SHAPE, "expected lines of less than 2^32 elements, got %lld", (long long)n);
  if (kept == 0 || lines == 0) return;
  const DLDevice device = rows->dl.device;
  DeviceGuard current(device.device_id);
  visit_key(rows->dtype, [&](auto tag) {
    using K = typename decltype(tag)::type;
    sort_all<K>(data<K>(rows), values ? data<K>(values) : nullptr, indices ? data<int64_t>(indices) : nullptr, lines, n,
                kept, rows->dtype, descending, device);
  });
}

namespace {

Tensor with_last(atled_tensor* t, int dim) {
  Layout layout(t);
  if (layout.ndim == 0) layout.push(1, 1);
  const int64_t n = layout.shape[dim], stride = layout.strides[dim];
  layout.erase(dim);
  layout.push(n, stride);
  return layout.view(t);
}

// Along any dimension, by way of copies in which it is the last.
void sort_dim(atled_frame* f, int dim_at, bool descending, int64_t kept, atled_tensor* values, atled_tensor* indices) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = wrap_dim(arg_int(f, dim_at), input->dl.ndim);
  if (kept < 0) kept = input->dl.ndim ? input->dl.shape[dim] : 1;
  const Tensor rows = rows_along(input, dim);
  if (dim + 1 >= input->dl.ndim && (!values || is_contiguous(values)) && is_contiguous(indices))
    return sort_lines(rows, descending, kept, values, indices);
  const Tensor index_view = with_last(indices, dim), turned_indices = Tensor::empty_like(index_view);
  Tensor value_view, turned_values;
  if (values) {
    value_view = with_last(values, dim);
    turned_values = Tensor::empty_like(value_view);
  }
  sort_lines(rows, descending, kept, turned_values, turned_indices);
  if (values) assign(value_view, turned_values.get());
  assign(index_view, turned_indices.get());
}

void sort(atled_frame* f) { sort_dim(f, 1, arg_bool(f, 2), -1, out_tensor(f, 0), out_tensor(f, 1)); }
void argsort(atled_frame* f) { sort_dim(f, 1, arg_bool(f, 2), -1, nullptr, out_tensor(f)); }
void topk(atled_frame* f) { sort_dim(f, 2, arg_bool(f, 3), arg_int(f, 1), out_tensor(f, 0), out_tensor(f, 1)); }

void add_sorting() {
  cuda_kernel("core::sort", kernel<sort>);
  cuda_kernel("core::argsort", kernel<argsort>);
  cuda_kernel("core::topk", kernel<topk>);
}
ATLED_CUDA_KERNELS(add_sorting);

}  // namespace

Tensor rows_along(atled_tensor* input, int dim) { return contiguous(with_last(input, dim), input->dtype); }

}  // namespace atled::core::cuda
