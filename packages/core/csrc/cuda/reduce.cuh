// Deterministic reductions over any set of dimensions, laid out by reduce_plan.h. A reduction is a functor as
// functors/reduction.h has them. It may have a Lane of its own, which a lane's elements are given to in order; one that
// needs to know where an element is has kIndexed besides.
//
// Each lane combines its elements in order, lanes are combined pairwise, chunks in order: the same order every time.
#pragma once

#include "cuda/elementwise.cuh"
#include "cuda/reduce_plan.h"
#include "cuda/tickets.h"

namespace atled::core::cuda {

template <class R, class = void>
struct IsIndexed : std::false_type {};
template <class R>
struct IsIndexed<R, std::void_t<decltype(R::kIndexed)>> : std::true_type {};

// Neighbours pairwise, which is the shortest chain of operations.
template <uint32_t V, class R>
__device__ __forceinline__ typename R::Acc joined(const R& r, const typename R::In* x) {
  if constexpr (V == 1)
    return r.load(x[0]);
  else
    return r.combine(joined<V / 2>(r, x), joined<V / 2>(r, x + V / 2));
}

template <class R>
struct PlainLane {
  typename R::Acc acc;
  __device__ explicit PlainLane(const R& r) : acc(r.identity()) {}
  template <uint32_t V>
  __device__ __forceinline__ void add(const R& r, const typename R::In (&x)[V], int64_t) {
    acc = r.combine(acc, joined<V>(r, x));
  }
  __device__ typename R::Acc result() const { return acc; }
};
template <class R, class = void>
struct LaneOf {
  using type = PlainLane<R>;
};
template <class R>
struct LaneOf<R, std::void_t<typename R::Lane>> {
  using type = typename R::Lane;
};

template <class In>
constexpr uint32_t kReduceVector = sizeof(In) < 16 ? 16 / sizeof(In) : 1;

struct ReduceLayout {
  ReduceOffsets kept, gone;
  int64_t outputs, output_blocks, length, chunk_length;
  uint32_t lane_bits;
  bool rows, vectors;

  // Of the partial results, which neighbouring threads read side by side.
  ATLED_FN int64_t partial_at(int64_t output, int64_t chunk, int64_t chunks) const {
    return rows ? output * chunks + chunk : chunk * outputs + output;
  }
};

// Accumulators of the block, one a thread; each output's are combined into its lane 0's. The block has been together
// since it was last called.
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

// Where the elements of an output are: on one line, or folded into several dimensions, which take divisions.
enum class Path { kLine, kFolded, kLargeFolded };

// One lane's pieces of a chunk, in order: every `lanes`-th piece of V elements. N are on their way from memory while
// those before them are added.
template <uint32_t V, Path kPath, class R>
__device__ __forceinline__ typename R::Acc over_lane(const R& r, const char* in, int64_t from, int64_t to,
                                                     uint32_t lane, const ReduceLayout& layout) {
  using Piece = Vector<typename R::In, V>;
  constexpr uint32_t N = kPath == Path::kLargeFolded ? 1 : sizeof(Piece) <= 4 ? 8 : 4;
  constexpr uint32_t kBits = V == 1 ? 0 : V == 2 ? 1 : V == 4 ? 2 : V == 8 ? 3 : 4;
  static_assert(V == 1u << kBits);
  const uint32_t every_bits = layout.lane_bits + kBits;
  const int64_t every = int64_t{1} << every_bits, first = from + lane * V;
  const uint32_t count = first < to ? static_cast<uint32_t>((to - first + every - 1) >> every_bits) : 0;
  const int64_t step = every * layout.gone.in[0];
  if (kPath == Path::kLine) in += first * layout.gone.in[0];
  typename LaneOf<R>::type kept(r);
  Piece now[N], next[N];
  int64_t i = first;  // of what is read next
  for (uint32_t k = 0; k < count + N; k += N) {
#pragma unroll
    for (uint32_t n = 0; n < N; ++n) now[n] = next[n];
#pragma unroll
    for (uint32_t n = 0; n < N; ++n, i += every) {
      if (kPath == Path::kLine) {
        if (k + n < count) next[n] = *reinterpret_cast<const Piece*>(in);
        in += step;
      } else if (k + n < count) {
        next[n] = *reinterpret_cast<const Piece*>(in + layout.gone.offset<kPath == Path::kFolded>(i));
      }
    }
    if (k == 0) continue;
#pragma unroll
    for (uint32_t n = 0; n < N; ++n)
      if (k - N + n < count) kept.add(r, now[n].item, i - (2 * N - n) * every);
  }
  return kept.result();
}

template <uint32_t V, class R>
__device__ __forceinline__ typename R::Acc over_path(const R& r, const char* in, int64_t from, int64_t to,
                                                     uint32_t lane, const ReduceLayout& layout) {
  if (layout.gone.n <= 1) return over_lane<V, Path::kLine>(r, in, from, to, lane, layout);
  if (layout.gone.small) return over_lane<V, Path::kFolded>(r, in, from, to, lane, layout);
  return over_lane<V, Path::kLargeFolded>(r, in, from, to, lane, layout);
}

// Blocks: outputs along x, chunks along y. `partial` is NULL where there is one chunk; else the last block of an
// output's combines them.
template <class R>
__global__ void __launch_bounds__(kReduceThreads, 4)
    reduce_kernel(const R r, const char* in, typename R::Out* out, char* extra, typename R::Acc* partial,
                  uint32_t* tickets, const __grid_constant__ ReduceLayout layout) {
  using Acc = typename R::Acc;
  const uint32_t lanes = 1u << layout.lane_bits, per_block = kReduceThreads >> layout.lane_bits;
  const uint32_t lane = layout.rows ? threadIdx.x & (lanes - 1) : threadIdx.x / per_block;
  const uint32_t slot = layout.rows ? threadIdx.x >> layout.lane_bits : threadIdx.x & (per_block - 1);
  const uint32_t lane_step = layout.rows ? 1 : per_block, chunks = gridDim.y;
  const int64_t from = blockIdx.y * layout.chunk_length;
  const int64_t to = from + layout.chunk_length < layout.length ? from + layout.chunk_length : layout.length;
  for (int64_t block = blockIdx.x; block < layout.output_blocks; block += gridDim.x) {
    const int64_t output = block * per_block + slot;
    const bool here = output < layout.outputs;
    int64_t base = 0, place = 0;
    Acc acc = r.identity();
    if (here) {
      layout.kept.locate(output, base, place);
      acc = layout.vectors ? over_path<kReduceVector<typename R::In>>(r, in + base, from, to, lane, layout)
                           : over_path<1>(r, in + base, from, to, lane, layout);
    }
    acc = across_lanes(r, acc, lane, lanes, lane_step);
    if (partial) {
      if (here && lane == 0) partial[layout.partial_at(output, blockIdx.y, chunks)] = acc;
      if (!is_last(tickets + block, chunks)) continue;
      acc = r.identity();
      if (here)
#pragma unroll 8
        for (uint32_t c = lane; c < chunks; c += lanes)
          acc = r.combine(acc, partial[layout.partial_at(output, c, chunks)]);
      acc = across_lanes(r, acc, lane, lanes, lane_step);
    }
    __syncthreads();  // the storage is used again
    if (!here || lane != 0) continue;
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

// What the blocks of an output leave for the last of them.
template <class Acc>
struct SharedOutputs {
  Tensor room;
  Tickets tickets;
  Acc* partial = nullptr;

  SharedOutputs() = default;
  SharedOutputs(DLDevice device, cudaStream_t stream, const ReducePlan& plan)
      : room(Tensor::empty(ATLED_UINT8, {plan.outputs * plan.chunks * static_cast<int64_t>(sizeof(Acc))}, device)),
        tickets(device, stream, plan.output_blocks()),
        partial(data<Acc>(room)) {}
};

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
  const ReducePlan plan = plan_reduction(kept, gone, item);
  if (plan.outputs == 0) return;
  const DLDevice where = out->dl.device;
  DeviceGuard device(where.device_id);
  const cudaStream_t stream = current_stream(where.device_id);
  const ReduceLayout layout{ReduceOffsets(kept),
                            ReduceOffsets(gone),
                            plan.outputs,
                            plan.output_blocks(),
                            plan.length,
                            plan.chunk_length,
                            plan.lane_bits,
                            plan.rows,
                            plan.rows && in_vectors(kept, gone, item, reinterpret_cast<uintptr_t>(data<char>(in)))};
  SharedOutputs<typename R::Acc> shared;
  if (plan.chunks > 1) shared = SharedOutputs<typename R::Acc>(where, stream, plan);
  const dim3 blocks(blocks_for(plan.output_blocks(), 1), static_cast<unsigned>(plan.chunks));
  launch(reduce_kernel<R>, blocks, kReduceThreads, stream, r, data<const char>(in), data<typename R::Out>(out),
         extra ? data<char>(extra) : nullptr, shared.partial, shared.tickets.get(), layout);
}

}  // namespace atled::core::cuda
