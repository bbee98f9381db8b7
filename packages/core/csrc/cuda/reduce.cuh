// Deterministic reductions over any set of dimensions, laid out by reduce_plan.h. A reduction is a functor as
// functors/reduction.h has them; one that needs to know where an element is has kIndexed and load_at.
//
// Each lane combines its elements in order, lanes are combined pairwise, chunks in order: the same order every time.
#pragma once

#include "cuda/elementwise.cuh"
#include "cuda/reduce_plan.h"

namespace atled::core::cuda {

template <class R, class = void>
struct IsIndexed : std::false_type {};
template <class R>
struct IsIndexed<R, std::void_t<decltype(R::kIndexed)>> : std::true_type {};

template <class In>
constexpr uint32_t kReduceVector = sizeof(In) < 16 ? 16 / sizeof(In) : 1;

struct ReduceLayout {
  ReduceOffsets kept, gone;
  int64_t outputs, length, chunk_length;
  uint32_t lanes;
  bool rows, vectors;
};

// Accumulators of the block, one a thread; each output's are combined into its lane 0's.
template <class R>
__device__ __forceinline__ typename R::Acc across_lanes(const R& r, typename R::Acc acc, uint32_t lane, uint32_t lanes,
                                                        uint32_t lane_step) {
  using Acc = typename R::Acc;
  alignas(16) __shared__ char storage[kReduceThreads * sizeof(Acc)];
  Acc* all = reinterpret_cast<Acc*>(storage);
  all[threadIdx.x] = acc;
  for (uint32_t half = lanes / 2; half > 0; half /= 2) {
    if (half * lane_step < 32) {
      __syncwarp();  // all lanes are of one warp by now
    } else {
      __syncthreads();
    }
    if (lane < half) {
      acc = r.combine(acc, all[threadIdx.x + half * lane_step]);
      all[threadIdx.x] = acc;
    }
  }
  return acc;
}

// acc with one piece of V neighbours, the first of which is element i.
template <uint32_t V, class R>
__device__ __forceinline__ typename R::Acc with_piece(const R& r, typename R::Acc acc,
                                                      const Vector<typename R::In, V>& piece, int64_t i) {
#pragma unroll
  for (uint32_t v = 0; v < V; ++v) {
    if constexpr (IsIndexed<R>::value)
      acc = r.combine(acc, r.load_at(piece.item[v], i + v));
    else
      acc = r.combine(acc, r.load(piece.item[v]));
  }
  return acc;
}

// One lane's pieces of a chunk, in order: every `lanes`-th piece of V elements. Those of a line are read some at a
// time.
template <uint32_t V, class R>
__device__ __forceinline__ typename R::Acc over_lane(const R& r, const char* in, int64_t from, int64_t to,
                                                     uint32_t lane, const ReduceLayout& layout) {
  using Piece = Vector<typename R::In, V>;
  constexpr int N = V <= 2 ? 8 : V <= 8 ? 4 : 2;
  const uint32_t every = layout.lanes * V;
  int64_t i = from + lane * V;
  typename R::Acc acc = r.identity();
  if (layout.gone.n > 1) {
    for (; i < to; i += every)
      acc = with_piece<V>(r, acc, *reinterpret_cast<const Piece*>(in + layout.gone.offset(i)), i);
    return acc;
  }
  const int64_t stride = layout.gone.n > 0 ? layout.gone.in[0] : 0, step = every * stride;
  in += i * stride;
  Piece pieces[N];
  for (; i + (N - 1) * every < to; i += N * every) {
#pragma unroll
    for (int n = 0; n < N; ++n, in += step) pieces[n] = *reinterpret_cast<const Piece*>(in);
#pragma unroll
    for (int n = 0; n < N; ++n) acc = with_piece<V>(r, acc, pieces[n], i + n * every);
  }
  // Less than N are left: all under way before the first is used.
  const int left = i < to ? static_cast<int>((static_cast<uint32_t>(to - i) + every - 1) / every) : 0;
#pragma unroll
  for (int n = 0; n + 1 < N; ++n, in += step)
    if (n < left) pieces[n] = *reinterpret_cast<const Piece*>(in);
#pragma unroll
  for (int n = 0; n + 1 < N; ++n)
    if (n < left) acc = with_piece<V>(r, acc, pieces[n], i + n * every);
  return acc;
}

// Blocks: outputs along x, chunks along y. `partial` is NULL where there is one chunk.
template <class R>
__global__ void __launch_bounds__(kReduceThreads, 4)
    reduce_kernel(const R r, const char* in, typename R::Out* out, char* extra, typename R::Acc* partial,
                  const __grid_constant__ ReduceLayout layout) {
  using Acc = typename R::Acc;
  const uint32_t lanes = layout.lanes, per_block = kReduceThreads / lanes;
  const uint32_t lane = layout.rows ? threadIdx.x % lanes : threadIdx.x / per_block;
  const uint32_t slot = layout.rows ? threadIdx.x / lanes : threadIdx.x % per_block;
  const uint32_t lane_step = layout.rows ? 1 : per_block;
  const int64_t blocks = (layout.outputs + per_block - 1) / per_block;
  const int64_t from = blockIdx.y * layout.chunk_length;
  const int64_t to = from + layout.chunk_length < layout.length ? from + layout.chunk_length : layout.length;
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const int64_t output = block * per_block + slot;
    const bool here = output < layout.outputs;
    int64_t base = 0, place = 0;
    Acc acc = r.identity();
    if (here) {
      layout.kept.locate(output, base, place);
      acc = layout.vectors ? over_lane<kReduceVector<typename R::In>>(r, in + base, from, to, lane, layout)
                           : over_lane<1>(r, in + base, from, to, lane, layout);
    }
    acc = across_lanes(r, acc, lane, lanes, lane_step);
    __syncthreads();  // the storage is used again
    if (!here || lane != 0) continue;
    if (partial) {
      partial[output * gridDim.y + blockIdx.y] = acc;
    } else {
      out[place] = r.finish(acc);
      if constexpr (IsIndexed<R>::value)
        if (extra) r.store_value(extra, place, acc);
    }
  }
}

// The chunks of each output, shared among `lanes` threads.
template <class R>
__global__ void __launch_bounds__(kReduceThreads)
    combine_kernel(const R r, typename R::Out* out, char* extra, const typename R::Acc* partial, int64_t chunks,
                   uint32_t lanes, const __grid_constant__ ReduceLayout layout) {
  const uint32_t per_block = kReduceThreads / lanes, lane = threadIdx.x % lanes;
  const int64_t blocks = (layout.outputs + per_block - 1) / per_block;
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const int64_t output = block * per_block + threadIdx.x / lanes;
    const bool here = output < layout.outputs;
    typename R::Acc acc = r.identity();
    if (here)
#pragma unroll 8
      for (int64_t c = lane; c < chunks; c += lanes) acc = r.combine(acc, partial[output * chunks + c]);
    acc = across_lanes(r, acc, lane, lanes, 1);
    __syncthreads();
    if (!here || lane != 0) continue;
    int64_t unused, place;
    layout.kept.locate(output, unused, place);
    out[place] = r.finish(acc);
    if constexpr (IsIndexed<R>::value)
      if (extra) r.store_value(extra, place, acc);
  }
}

// t itself, or a contiguous copy in dtype.
inline Tensor contiguous(const atled_tensor* given, int dtype) {
  atled_tensor* t = const_cast<atled_tensor*>(given);
  if (is_contiguous(t) && t->dtype == dtype) return Tensor::borrow(t);
  Tensor copy = Tensor::empty(dtype, t->dl.ndim, t->dl.shape, t->dl.device);
  assign(copy, t);
  return copy;
}

inline int64_t reduced_length(const atled_tensor* in, DimSet dims) {
  int64_t n = 1;
  for (int d = 0; d < in->dl.ndim; ++d)
    if (dims >> d & 1) n *= in->dl.shape[d];
  return n;
}

// out, contiguous, gets the reduction of `in`, whose dtype is R::In's, over dims; `extra` what R::store_value writes.
template <class R>
void reduce(const atled_tensor* in, DimSet dims, const atled_tensor* out, const R& r,
            const atled_tensor* extra = nullptr) {
  ReduceDims kept, gone;
  const int64_t item = itemsize(in->dtype);
  int64_t step = 1;
  for (int d = in->dl.ndim - 1; d >= 0; --d) {
    const bool is_gone = dims >> d & 1;
    if (is_gone && IsIndexed<R>::value)
      gone.append(in->dl.shape[d], in->dl.strides[d] * item, 0);
    else
      (is_gone ? gone : kept).add(in->dl.shape[d], in->dl.strides[d] * item, is_gone ? 0 : step);
    if (!is_gone) step *= in->dl.shape[d];
  }
  kept.join();
  gone.join();
  if (kept.n > kMaxDims || gone.n > kMaxDims) {
    if (is_contiguous(in)) fail(ATLED_E_NOT_IMPLEMENTED, "expected at most %d dimensions that do not join", kMaxDims);
    return reduce(contiguous(in, in->dtype), dims, out, r, extra);
  }
  const ReducePlan plan = plan_reduction(kept, gone);
  if (plan.outputs == 0) return;
  const DLDevice where = out->dl.device;
  DeviceGuard device(where.device_id);
  const cudaStream_t stream = current_stream(where.device_id);
  const ReduceLayout layout{
      ReduceOffsets(kept), ReduceOffsets(gone),
      plan.outputs,        plan.length,
      plan.chunk_length,   static_cast<uint32_t>(plan.lanes),
      plan.rows,           plan.rows && in_vectors(kept, gone, item, reinterpret_cast<uintptr_t>(data<char>(in)))};
  Tensor room;
  typename R::Acc* partial = nullptr;
  if (plan.chunks > 1) {
    room =
        Tensor::empty(ATLED_UINT8, {plan.outputs * plan.chunks * static_cast<int64_t>(sizeof(typename R::Acc))}, where);
    partial = data<typename R::Acc>(room);
  }
  auto* to = data<typename R::Out>(out);
  char* more = extra ? data<char>(extra) : nullptr;
  const dim3 blocks(blocks_for(plan.output_blocks(), 1), static_cast<unsigned>(plan.chunks));
  launch(reduce_kernel<R>, blocks, kReduceThreads, stream, r, data<const char>(in), to, more, partial, layout);
  if (!partial) return;
  int lanes = 1;
  while (lanes < kReduceThreads && lanes < plan.chunks) lanes *= 2;
  const int64_t per_block = kReduceThreads / lanes;
  launch(combine_kernel<R>, blocks_for((plan.outputs + per_block - 1) / per_block, 1), kReduceThreads, stream, r, to,
         more, partial, plan.chunks, static_cast<uint32_t>(lanes), layout);
}

}  // namespace atled::core::cuda
