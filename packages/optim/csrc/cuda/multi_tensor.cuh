// Launches over the tensors of a list, as many as fit a table that the kernel gets by value. A block takes on a chunk
// of one tensor.
#pragma once

#include <algorithm>
#include <map>

#include "atled/cuda.hpp"
#include "lists.h"

namespace atled::optim {

using namespace atled::cuda;

constexpr int kChunk = 8192;  // elements

// What differs from tensor to tensor: the addresses of its kOperands tensors, their size, and a Step.
template <class T, int kOperands, class Step>
struct Table {
  static constexpr int kBytes = 3840;  // of a kernel's 4096
  static constexpr int kMost =
      kBytes / static_cast<int>(sizeof(T*) * kOperands + sizeof(int64_t) + sizeof(Step) + sizeof(uint32_t)) - 1;

  T* at[kOperands][kMost];
  int64_t sizes[kMost];
  Step steps[kMost];
  uint32_t first[kMost];  // the block at which a tensor's begin
  int32_t count;

  // The tensor that a block works on: the last that begins there or before.
  __device__ __forceinline__ int tensor_of(uint32_t block) const {
    int low = 0, high = count - 1;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      first[middle] <= block ? low = middle : high = middle - 1;
    }
    return low;
  }
};

// A block's part of its tensor.
template <class T, int kOperands>
struct Chunk {
  T* at[kOperands];
  int size, tensor;
  bool aligned;  // to 16 bytes

  template <class Step>
  __device__ __forceinline__ explicit Chunk(const Table<T, kOperands, Step>& table) {
    tensor = table.tensor_of(blockIdx.x);
    const int64_t begin = static_cast<int64_t>(blockIdx.x - table.first[tensor]) * kChunk;
    const int64_t left = table.sizes[tensor] - begin;
    size = static_cast<int>(left < kChunk ? left : kChunk);
    uintptr_t bits = 0;
#pragma unroll
    for (int k = 0; k < kOperands; ++k) {
      at[k] = table.at[k][tensor] + begin;
      bits |= reinterpret_cast<uintptr_t>(at[k]);
    }
    aligned = bits % 16 == 0;
  }

  // Calls f(x) for every element, x being what the operands hold; with kWrite, x is stored, but for x[1].
  template <bool kWrite, class F>
  __device__ __forceinline__ void each(F&& f) const {
    constexpr int V = static_cast<int>(16 / sizeof(T));
    int done = 0;
    if (aligned) {
      done = size / V * V;
      for (int i = static_cast<int>(threadIdx.x); i < done / V; i += kThreads) several<V, kWrite>(i, f);
    }
    for (int i = done + static_cast<int>(threadIdx.x); i < size; i += kThreads) several<1, kWrite>(i, f);
  }

 private:
  template <int V, bool kWrite, class F>
  __device__ __forceinline__ void several(int i, F&& f) const {
    Vector<T, V> held[kOperands];
#pragma unroll
    for (int k = 0; k < kOperands; ++k) held[k] = reinterpret_cast<const Vector<T, V>*>(at[k])[i];
#pragma unroll
    for (int v = 0; v < V; ++v) {
      Compute<T> x[kOperands];
#pragma unroll
      for (int k = 0; k < kOperands; ++k) x[k] = Compute<T>(held[k].item[v]);
      f(x);
#pragma unroll
      for (int k = 0; k < kOperands; ++k) held[k].item[v] = T(x[k]);
    }
    if constexpr (kWrite) {
#pragma unroll
      for (int k = 0; k < kOperands; ++k)
        if (k != 1) reinterpret_cast<Vector<T, V>*>(at[k])[i] = held[k];
    }
  }
};

// No layer sees the calls of other ops that a kernel makes: the op's own was not to be seen either.
class WithoutLayers {
 public:
  WithoutLayers() { check(layer_group->exclude(~uint64_t{1}, 0, &before_)); }
  ~WithoutLayers() { layer_group->exclude(before_, ~before_, nullptr); }
  WithoutLayers(const WithoutLayers&) = delete;
  WithoutLayers& operator=(const WithoutLayers&) = delete;

 private:
  uint64_t before_ = 0;
};

// Copies of tensors that do not all lie in memory in one order with the others of their parameter. All are made before
// anything is changed: there may be no memory for them.
class Copies {
 public:
  // Of n lists; entries of the one at 1 stay as they are, all do where nothing is written.
  Copies(const atled_value* lists, int n, bool writes) {
    for (uint32_t i = 0; i < lists[0].n; ++i) {
      atled_tensor* list[kMaxStreams];
      for (int k = 0; k < n; ++k) list[k] = entry(lists[k], i);
      if (numel(list[0]) == 0 || same_dense_layout(list, n)) continue;
      for (int k = 0; k < n; ++k)
        if (!is_contiguous(list[k])) add(i, k, list[k], writes && k != 1);
    }
  }
  // Entry i of list k: its copy, or the tensor itself.
  const atled_tensor* of(uint32_t i, int k, const atled_tensor* t) const {
    const auto found = all_.empty() ? all_.end() : all_.find(key(i, k));
    return found == all_.end() ? t : found->second.flat.get();
  }
  void put_back() const {
    if (all_.empty()) return;
    const WithoutLayers alone;
    static const Op copy{"core::copy_"};
    for (const auto& [at, one] : all_)
      if (one.written) copy(one.written, one.flat);
  }

 private:
  struct Copy {
    Tensor flat;
    atled_tensor* written;  // NULL: it is only read
  };
  static uint64_t key(uint32_t i, int k) { return uint64_t{i} * kMaxStreams + static_cast<uint64_t>(k); }
  void add(uint32_t i, int k, atled_tensor* t, bool written) {
    const WithoutLayers alone;
    static const Op contiguous{"core::contiguous"};
    all_.emplace(key(i, k), Copy{contiguous(t), written ? t : nullptr});
  }

  std::map<uint64_t, Copy> all_;
};

// Fills tables and calls launch(table, blocks) for each.
template <class T, int kOperands, class Step, class Launch>
class Tables {
 public:
  Tables(const Copies& copies, const Launch& launch) : copies_(copies), launch_(launch) {}

  // The tensors of parameter i.
  void add(uint32_t i, atled_tensor* const* list, const Step& step) {
    const int64_t n = numel(list[0]);
    if (n == 0) return;
    for (int k = 0; k < kOperands; ++k) table_.at[k][table_.count] = data<T>(copies_.of(i, k, list[k]));
    table_.sizes[table_.count] = n;
    table_.steps[table_.count] = step;
    table_.first[table_.count++] = blocks_;
    blocks_ += static_cast<uint32_t>((n + kChunk - 1) / kChunk);
    if (table_.count == table_.kMost) finish();
  }
  // After the last.
  void finish() {
    if (table_.count > 0) launch_(table_, blocks_);
    table_.count = 0;
    blocks_ = 0;
  }

 private:
  static_assert(sizeof(Table<T, kOperands, Step>) <= Table<T, kOperands, Step>::kBytes);
  const Copies& copies_;
  const Launch& launch_;
  Table<T, kOperands, Step> table_{};
  uint32_t blocks_ = 0;
};

// The device of a list, which is the current one's where it is empty.
inline DLDevice device_of(Tensors list) {
  if (list.n > 0) return entry(list, 0)->dl.device;
  int current = 0;
  expect(cudaGetDevice(&current), "ask for the current device");
  return {kDLCUDA, current};
}

// Calls f(Tag<T>) for each of the types that tensors have.
template <class F>
void each_type(Tensors list, F&& f) {
  bool there[ATLED_NUM_DTYPES] = {};
  for (uint32_t i = 0; i < list.n; ++i) there[entry(list, i)->dtype] = true;
  for (int dtype = ATLED_FLOAT16; dtype <= ATLED_FLOAT64; ++dtype)
    if (there[dtype]) visit_float(dtype, f);
}

// ---- updates (step.h) ----

// A parameter's step, or its numbers on the device, which are not known yet.
template <class Step, int kCounts>
struct Slot {
  Step step;
  const float* counts[kCounts];
};
template <class Step>
struct Slot<Step, 0> {
  Step step;
};

template <class T, class U, int kCounts>
__global__ void __launch_bounds__(kThreads)
    update_kernel(const __grid_constant__ U update,
                  const __grid_constant__ Table<T, U::kOperands, Slot<typename U::Step, kCounts>> table) {
  static_assert(sizeof update + sizeof table <= 4096);
  const Chunk<T, U::kOperands> chunk(table);
  __shared__ typename U::Step shared;
  if (threadIdx.x == 0) {
    const auto& slot = table.steps[chunk.tensor];
    shared = slot.step;
    if constexpr (kCounts > 0) {
      if (slot.counts[0]) {
        double numbers[kCounts];
        for (int k = 0; k < kCounts; ++k) numbers[k] = *slot.counts[k];
        shared = update.at(numbers);
      }
    }
  }
  __syncthreads();
  const typename U::Step step = shared;
  chunk.template each<true>([&](Compute<T>* x) { update(step, x); });
}

// Has an update change the tensors of every parameter of type T: entries of the lists. slot(i) is parameter i's.
template <class T, int kCounts, class U, class F>
void update_all(const U& update, const atled_value* lists, const Copies& copies, cudaStream_t stream, F&& slot) {
  using Given = Slot<typename U::Step, kCounts>;
  const auto run = [&](const Table<T, U::kOperands, Given>& table, uint32_t blocks) {
    launch(update_kernel<T, U, kCounts>, blocks, kThreads, stream, update, table);
  };
  Tables<T, U::kOperands, Given, decltype(run)> tables(copies, run);
  for (uint32_t i = 0; i < lists[0].n; ++i) {
    if (entry(lists[0], i)->dtype != dtype_of<T>) continue;
    atled_tensor* tensors[U::kOperands];
    for (int k = 0; k < U::kOperands; ++k) tensors[k] = entry(lists[k], i);
    tables.add(i, tensors, slot(i));
  }
  tables.finish();
}

}  // namespace atled::optim
