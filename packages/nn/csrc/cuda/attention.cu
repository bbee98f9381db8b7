// Attention in half precision without a matrix of scores: a block of queries goes over tiles of keys, and keeps of each
// row of scores its maximum and the sum of its powers so far (Milakov & Gimelshein 2018; Dao 2023, FlashAttention-2).
#include <limits>

#include "cuda/attention.h"
#include "cuda/attention_tiles.cuh"

namespace atled::nn {

namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();
constexpr int kStages = 3;  // tiles in shared memory: one in use, two on their way

// Over the four lanes that have a row.
template <class F>
__device__ __forceinline__ float across_row(float x, F&& join) {
  x = join(x, __shfl_xor_sync(kAllLanes, x, 1));
  return join(x, __shfl_xor_sync(kAllLanes, x, 2));
}

template <class T, int W>
__global__ void __launch_bounds__(kQueryThreads, W == 64 ? 2 : 1)
    forward_kernel(const __grid_constant__ AttentionPlan plan, const T* query, const HeadRows query_rows, const T* key,
                   const HeadRows key_rows, const T* value, const HeadRows value_rows, const ScoreBias bias, T* out,
                   float* partial, float* lse) {
  alignas(16) __shared__ T tiles[kStages][kForwardTile * W];
  const AttentionPlan::Place place = plan.query_place(blockIdx.x / static_cast<uint32_t>(plan.parts));
  const int part = static_cast<int>(blockIdx.x % static_cast<uint32_t>(plan.parts)), start = part * plan.part_length;
  const int warp = static_cast<int>(threadIdx.x / 32), first = place.first + warp * kWarpRows;
  const T* keys = key + key_rows.offset(place.batch, place.head / plan.shared, 0);
  const T* values = value + value_rows.offset(place.batch, place.head / plan.shared, 0);
  const int seen_keys = plan.keys_seen(place.first, kQueries) - start;
  const int count = AttentionPlan::tiles(seen_keys < plan.part_length ? seen_keys : plan.part_length,
                                         kForwardTile);  // or less than 1

  // Tiles of keys and of values take turns; tile t is of keys where t is even.
  int slot = 0;
  auto begin = [&](int t, int into) {
    if (t / 2 < count)
      copy_tile<T, W, kForwardTile, kQueryThreads>(tiles[into], t % 2 ? values : keys,
                                                   t % 2 ? value_rows.row : key_rows.row, start + t / 2 * kForwardTile,
                                                   plan.keys, plan.size);
    end_group();
  };
  // The next tile, once all threads have copied their parts of it; then the one before it is free.
  auto next = [&](int t) {
    wait_for_groups<1>();
    __syncthreads();
    const T* tile = tiles[slot];
    begin(t + 2, slot == 0 ? kStages - 1 : slot - 1);
    slot = slot == kStages - 1 ? 0 : slot + 1;
    return tile;
  };
  begin(0, 0);
  begin(1, 1);
  Fragment rows[W / 16];
  load_rows<T, W>(rows, query + query_rows.offset(place.batch, place.head, 0), query_rows.row, first, plan.length,
                  plan.size);

  float sums[W / 8][4] = {}, most[2] = {kNothing, kNothing}, total[2] = {};
  const float scale = plan.scale * kLog2E;  // powers are of two
  for (int j = 0; j < count; ++j) {
    const int from = start + j * kForwardTile;
    const bool seen = from < plan.keys_seen(first, kWarpRows) && first < plan.length;  // the same for all lanes
    const T* key_tile = next(2 * j);
    float scores[kForwardTile / 8][4] = {};
    if (seen) {
      times_rows<T, W, kForwardTile>(scores, [&](int k) { return rows[k]; }, key_tile);
      const float* added = bias.data ? bias.data + place.batch * bias.batch + place.head * bias.head : nullptr;
      // Columns of the last keys that the lane's rows see. Rows behind the last query are like others, but not written.
      const int last[] = {plan.last_key(first + lane_row(0)) - from, plan.last_key(first + lane_row(1)) - from};
      each_element<kForwardTile>([&](float& x, int, int) { x *= scale; }, scores);
      if (added) add_bias<kForwardTile>(scores, added, bias, plan, first, from, last);
      if (from + kForwardTile - 1 > plan.last_key(first))
        each_element<kForwardTile>([&](float& x, int half, int column) { x = column > last[half] ? kNothing : x; },
                                   scores);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float high = most[half];
#pragma unroll
        for (auto& each : scores) high = fmaxf(high, fmaxf(each[2 * half], each[2 * half + 1]));
        high = across_row(high, [](float a, float b) { return fmaxf(a, b); });
        const float base = high == kNothing ? 0.0f : high, factor = power_of_two(most[half] - base);
        most[half] = high;
        total[half] *= factor;
#pragma unroll
        for (auto& each : scores)
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) total[half] += each[i] = power_of_two(each[i] - base);
#pragma unroll
        for (auto& each : sums) {
          each[2 * half] *= factor;
          each[2 * half + 1] *= factor;
        }
      }
    }
    const T* value_tile = next(2 * j + 1);
    if (seen) times_tile<T, W, kForwardTile>(sums, scores, value_tile);
  }

  const int64_t head = (place.batch * plan.heads + place.head) * plan.parts + part;
  float share[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float all = across_row(total[half], [](float a, float b) { return a + b; });
    share[half] = all > 0 ? 1 / all : 0;
    const int row = first + lane_row(half);
    if (threadIdx.x % 4 == 0 && row < plan.length)
      lse[head * plan.length + row] = all > 0 ? (most[half] + log2f(all)) * kLn2 : kNothing;
  }
  const int64_t at = head * plan.length * plan.size;
  auto factor = [&](int half) { return share[half]; };
  if (partial)
    store_rows<float, W>(partial + at, sums, first, plan.length, plan.size, factor);
  else
    store_rows<T, W>(out + at, sums, first, plan.length, plan.size, factor);
}

// Joins what parts of the keys gave: rows (head, part, query) of partial and lses into rows (head, query).
template <class T>
__global__ void __launch_bounds__(kThreads)
    join_kernel(const AttentionPlan plan, const float* partial, const float* lses, int64_t total, T* out, float* lse) {
  for (int64_t i = thread_index(); i < total; i += thread_count()) {
    const int64_t row = i / plan.size, first = row / plan.length * plan.parts * plan.length + row % plan.length;
    float high = kNothing, sum = 0, all = 0;
    for (int p = 0; p < plan.parts; ++p) high = fmaxf(high, lses[first + p * plan.length]);
    if (high == kNothing) high = 0;
    for (int p = 0; p < plan.parts; ++p) {
      const int64_t at = first + p * plan.length;
      const float share = expf(lses[at] - high);
      all += share;
      sum += share * partial[at * plan.size + i % plan.size];
    }
    out[i] = T(all > 0 ? sum / all : sum);
    if (i % plan.size == 0) lse[row] = all > 0 ? high + logf(all) : kNothing;
  }
}

void forward(atled_frame* f) {
  AttentionOperands o(f, 0, 4);
  if (!o.fit()) return attention_by_products(f);
  const On on(o.query.tensor);
  const DLDevice device = o.query.tensor->dl.device;
  o.plan.share_keys();
  const int64_t rows = numel(out_tensor(f, 1)) * o.plan.parts;
  const bool shared = o.plan.parts > 1;
  const Tensor partial = shared ? Tensor::empty(ATLED_FLOAT32, {rows, o.plan.size}, device) : Tensor(),
               lses = shared ? Tensor::empty(ATLED_FLOAT32, {rows}, device) : Tensor();
  o.visit([&](auto tag, auto width) {
    using T = typename decltype(tag)::type;
    T* out = data<T>(out_tensor(f, 0));
    float *parts = shared ? data<float>(partial) : nullptr, *lse = data<float>(out_tensor(f, 1));
    launch(forward_kernel<T, decltype(width)::value>, static_cast<unsigned>(o.plan.query_blocks() * o.plan.parts),
           kQueryThreads, on.stream(), o.plan, data<const T>(o.query.tensor), o.query.rows, data<const T>(o.key.tensor),
           o.key.rows, data<const T>(o.value.tensor), o.value.rows, o.bias, out, parts,
           shared ? data<float>(lses) : lse);
    if (shared)
      on.run(join_kernel<T>, blocks_for(numel(out_tensor(f, 0))), o.plan, data<const float>(partial),
             data<const float>(lses), numel(out_tensor(f, 0)), out, lse);
  });
}

void add_attention() { add_cuda_kernel<forward>("nn::fused_attention"); }
ATLED_CUDA_KERNELS(add_attention);

}  // namespace

}  // namespace atled::nn
