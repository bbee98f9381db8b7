// Deterministic scans along one dimension, laid out by scan_plan.h. A scan is a functor S with
//   In, Acc, Out, Base        what is read (as stored), accumulated and written; identity and combine alone
//   Acc identity() const
//   Acc load(In x, int64_t i) const   element i of a line
//   Acc combine(Acc before, Acc after) const   associative up to rounding
//   Out* out; Out finish(Acc) const   and, where there are two results, where and second() for int64
#pragma once

#include "cuda/reduce.cuh"
#include "cuda/scan_plan.h"

namespace atled::core::cuda {

template <class S, class = void>
struct HasSecond : std::false_type {};
template <class S>
struct HasSecond<S, std::void_t<decltype(S::where)>> : std::true_type {};

// A value of another lane of the warp; all lanes take part.
template <class A>
__device__ __forceinline__ A from_lane(const A& value, int lane) {
  static_assert(sizeof(A) % 4 == 0);
  constexpr int kWords = sizeof(A) / 4;
  uint32_t words[kWords];
  memcpy(words, &value, sizeof value);
  for (int w = 0; w < kWords; ++w) words[w] = __shfl_sync(0xffffffff, words[w], lane);
  A other;
  memcpy(&other, words, sizeof other);
  return other;
}

// What the threads before this one in its group of `lanes` neighbours come to; `total` gets what all of them do.
template <class S>
__device__ __forceinline__ typename S::Acc before_in_group(const S& s, const typename S::Acc& mine, uint32_t lanes,
                                                           typename S::Acc* room, typename S::Acc& total) {
  using Acc = typename S::Acc;
  const int lane = threadIdx.x % 32, width = lanes < 32 ? lanes : 32, inside = lane % width;
  Acc sum = mine;
  for (int step = 1; step < width; step *= 2) {
    const Acc other = from_lane(sum, lane >= step ? lane - step : 0);
    if (inside >= step) sum = s.combine(other, sum);
  }
  Acc before = from_lane(sum, lane > 0 ? lane - 1 : 0);
  if (inside == 0) before = s.identity();
  if (lanes <= 32) {
    total = from_lane(sum, lane - inside + width - 1);
    return before;
  }
  __syncthreads();  // the room is used again
  if (lane == 31) room[threadIdx.x / 32] = sum;
  __syncthreads();
  const uint32_t warp = threadIdx.x / 32, first = threadIdx.x / lanes * (lanes / 32);
  Acc earlier = s.identity();
  total = s.identity();
  for (uint32_t w = first; w < first + lanes / 32; ++w) {
    if (w == warp) earlier = total;
    total = s.combine(total, room[w]);
  }
  return s.combine(earlier, before);
}

// Writes what lanes have as neighbours: by way of shared memory, so that lanes write side by side.
template <class Out, class F>
__device__ __forceinline__ void write_tile(Out* row, int64_t length, uint32_t lane, uint32_t lanes, Out* room,
                                           const F& value) {
  constexpr uint32_t kEvery = 32;  // items, after which one is left free, so that lanes meet in no memory bank
  auto at = [](uint32_t i) { return i + i / kEvery; };
  const uint32_t first = (threadIdx.x - lane) * kScanItems;
  __syncthreads();  // the room is used again
#pragma unroll
  for (uint32_t k = 0; k < kScanItems; ++k) room[at(first + lane * kScanItems + k)] = value(k);
  __syncthreads();
#pragma unroll
  for (uint32_t k = 0; k < kScanItems; ++k) {
    const uint32_t i = k * lanes + lane;
    if (static_cast<int64_t>(i) < length) row[i] = room[at(first + i)];
  }
}

// Blocks: rows along x, chunks along y. `totals` gets what chunks come to, and nothing else is written; `before` has
// the totals up to each chunk.
template <class S>
__global__ void __launch_bounds__(kScanThreads)
    scan_rows_kernel(const S s, const typename S::In* in, const typename S::Acc* before, typename S::Acc* totals,
                     const ScanPlan plan) {
  using In = typename S::In;
  using Acc = typename S::Acc;
  using Out = typename S::Out;
  constexpr int kRoom = kScanThreads * kScanItems * 33 / 32;
  constexpr size_t kItem = HasSecond<S>::value && sizeof(Out) < 8 ? 8 : sizeof(Out);
  alignas(16) __shared__ char storage[kRoom * kItem];
  alignas(16) __shared__ char warps[kScanThreads / 32 * sizeof(Acc)];
  const uint32_t lanes = plan.lanes, lane = threadIdx.x % lanes, per_block = kScanThreads / lanes;
  const int64_t chunk = blockIdx.y, from = chunk * plan.chunk_length, to = plan.end_of(chunk);
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * per_block; first < plan.outer;
       first += static_cast<int64_t>(gridDim.x) * per_block) {
    const int64_t row = first + threadIdx.x / lanes;
    const bool here = row < plan.outer;
    Acc carry = before && chunk > 0 && here ? before[row * plan.chunks + chunk - 1] : s.identity();
    for (int64_t tile = from; tile < to; tile += lanes * kScanItems) {
      const int64_t start = tile + lane * kScanItems;
      const int64_t left = here ? to - start : 0;
      const In* x = in + row * plan.n + start;
      In items[kScanItems];
      constexpr size_t kVector = sizeof(In) * kScanItems < 16 ? sizeof(In) * kScanItems : 16;
      if (left >= kScanItems && reinterpret_cast<uintptr_t>(x) % kVector == 0) {
        constexpr int kEach = kVector / sizeof(In), kVectors = kScanItems / kEach;
#pragma unroll
        for (int v = 0; v < kVectors; ++v) {
          const auto some = reinterpret_cast<const Vector<In, kEach>*>(x)[v];
#pragma unroll
          for (int k = 0; k < kEach; ++k) items[v * kEach + k] = some.item[k];
        }
      } else {
#pragma unroll
        for (int k = 0; k < kScanItems; ++k)
          if (k < left) items[k] = x[k];
      }
      Acc sums[kScanItems];
#pragma unroll
      for (int k = 0; k < kScanItems; ++k) {
        const Acc one = k < left ? s.load(items[k], start + k) : s.identity();
        sums[k] = k ? s.combine(sums[k - 1], one) : one;
      }
      Acc total;
      const Acc earlier = before_in_group(s, sums[kScanItems - 1], lanes, reinterpret_cast<Acc*>(warps), total);
      if (!totals) {
        const Acc base = s.combine(carry, earlier);
#pragma unroll
        for (int k = 0; k < kScanItems; ++k) sums[k] = s.combine(base, sums[k]);
        const int64_t place = row * plan.n + tile, length = here ? to - tile : 0;
        write_tile<Out>(s.out + place, length, lane, lanes, reinterpret_cast<Out*>(storage),
                        [&](uint32_t k) { return s.finish(sums[k]); });
        if constexpr (HasSecond<S>::value)
          write_tile<int64_t>(s.where + place, length, lane, lanes, reinterpret_cast<int64_t*>(storage),
                              [&](uint32_t k) { return s.second(sums[k]); });
      }
      carry = s.combine(carry, total);
    }
    if (totals && here && lane == 0) totals[row * plan.chunks + chunk] = carry;
  }
}

// The same for columns: a thread has one in each of a grid's turns.
template <class S>
__global__ void __launch_bounds__(kScanThreads)
    scan_columns_kernel(const S s, const typename S::In* in, const typename S::Acc* before, typename S::Acc* totals,
                        const ScanPlan plan) {
  constexpr int kUnroll = 8;
  const int64_t chunk = blockIdx.y, from = chunk * plan.chunk_length, to = plan.end_of(chunk);
  const int64_t lines = plan.outer * plan.inner;
  for (int64_t line = thread_index(); line < lines; line += thread_count()) {
    const int64_t start = plan.start_of(line);
    typename S::Acc acc = before && chunk > 0 ? before[line * plan.chunks + chunk - 1] : s.identity();
    for (int64_t i = from; i < to; i += kUnroll) {
      typename S::In items[kUnroll];
#pragma unroll
      for (int k = 0; k < kUnroll; ++k)
        if (i + k < to) items[k] = in[start + (i + k) * plan.inner];
#pragma unroll
      for (int k = 0; k < kUnroll; ++k) {
        if (i + k >= to) continue;
        acc = s.combine(acc, s.load(items[k], i + k));
        if (totals) continue;
        const int64_t place = start + (i + k) * plan.inner;
        s.out[place] = s.finish(acc);
        if constexpr (HasSecond<S>::value) s.where[place] = s.second(acc);
      }
    }
    if (totals) totals[line * plan.chunks + chunk] = acc;
  }
}

// A scan of what chunks come to.
template <class B>
struct ScanOfTotals : B {
  using Base = B;
  using Acc = typename B::Acc;
  using In = Acc;
  using Out = Acc;
  Out* out;
  ATLED_FN Acc load(In x, int64_t) const { return x; }
  ATLED_FN Out finish(Acc a) const { return a; }
};

template <class S>
void launch_scan(const S& s, const typename S::In* in, const typename S::Acc* before, typename S::Acc* totals,
                 const ScanPlan& plan, cudaStream_t stream) {
  const auto chunks = static_cast<unsigned>(plan.chunks);
  if (plan.rows())
    launch(scan_rows_kernel<S>, dim3(blocks_for(plan.outer, plan.rows_per_block()), chunks), kScanThreads, stream, s,
           in, before, totals, plan);
  else
    launch(scan_columns_kernel<S>, dim3(blocks_for(plan.lines(), kScanThreads), chunks), kScanThreads, stream, s, in,
           before, totals, plan);
}

// Scans a contiguous tensor along a dimension; s has the places of its contiguous results.
template <class S>
void scan(const S& s, const atled_tensor* in, int dim) {
  using Acc = typename S::Acc;
  const int ndim = in->dl.ndim;
  int64_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < ndim; ++d) (d < dim ? outer : d == dim ? n : inner) *= in->dl.shape[d];
  if (outer * n * inner == 0) return;
  const DLDevice where = in->dl.device;
  DeviceGuard device(where.device_id);
  const cudaStream_t stream = current_stream(where.device_id);
  const ScanPlan plan = plan_scan(outer, n, inner);
  const auto* from = data<const typename S::In>(in);
  if (plan.chunks == 1) return launch_scan(s, from, nullptr, nullptr, plan, stream);
  const Tensor room =
      Tensor::empty(ATLED_UINT8, {plan.lines() * plan.chunks * static_cast<int64_t>(sizeof(Acc))}, where);
  auto* totals = data<Acc>(room);
  launch_scan(s, from, nullptr, totals, plan, stream);
  ScanOfTotals<typename S::Base> all{static_cast<const typename S::Base&>(s)};
  all.out = totals;
  ScanPlan short_plan = plan_scan(plan.lines(), plan.chunks, 1);
  launch_scan(all, totals, nullptr, nullptr, short_plan, stream);
  launch_scan(s, from, totals, nullptr, plan, stream);
}

}  // namespace atled::core::cuda
