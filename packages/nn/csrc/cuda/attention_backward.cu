// Attention's gradients: weights are computed again from their rows' logarithms of sums. A block of keys goes over the
// queries that see it, and another kernel's block of queries over the keys it sees, so that each sum has one order.
#include "cuda/attention.h"

namespace atled::nn {

namespace {

constexpr int kStages = 2;  // tiles of keys in shared memory: one in use, one on its way

// What the kernels know of each query beside its row: logarithms of sums, and sums of grad * attended.
struct Statistics {
  const float *lse, *mean;
};

// mean[row] = sum(grad * attended) for rows of `size` that a warp has.
template <class T>
__global__ void __launch_bounds__(kThreads)
    mean_kernel(const T* grad, const HeadRows grad_rows, const T* attended, const HeadRows attended_rows, float* mean,
                const AttentionPlan plan, int64_t rows) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  for (int64_t row = thread_index() / 32; row < rows; row += thread_count() / 32) {
    const int64_t head = row / plan.length, batch = head / plan.heads;
    const T* g = grad + grad_rows.offset(batch, head % plan.heads, row % plan.length);
    const T* y = attended + attended_rows.offset(batch, head % plan.heads, row % plan.length);
    float sum = 0;
    for (int i = lane * kPiece; i < plan.size; i += 32 * kPiece) {
      const auto a = load<T, kPiece>(g + i), b = load<T, kPiece>(y + i);
#pragma unroll
      for (int k = 0; k < kPiece; ++k) sum += static_cast<float>(a.item[k]) * static_cast<float>(b.item[k]);
    }
#pragma unroll
    for (int step = 1; step < 32; step *= 2) sum += __shfl_xor_sync(kAllLanes, sum, step);
    if (lane == 0) mean[row] = sum;
  }
}

template <class T, int W>
__global__ void __launch_bounds__(kKeyThreads, 2)
    key_kernel(const __grid_constant__ AttentionPlan plan, const T* query, const HeadRows query_rows, const T* key,
               const HeadRows key_rows, const T* value, const HeadRows value_rows, const T* grad,
               const HeadRows grad_rows, const ScoreBias bias, const Statistics statistics, T* to_key, T* to_value) {
  alignas(16) __shared__ T keys[kKeys * W];
  alignas(16) __shared__ T values[kKeys * W];
  alignas(16) __shared__ T queries[kBackwardTile * W];
  alignas(16) __shared__ T grads[kBackwardTile * W];
  const AttentionPlan::Place place = plan.key_place(blockIdx.x);
  const int own = static_cast<int>(threadIdx.x / 32) * kWarpRows, first = place.first + own;
  copy_tile<T, W, kKeys, kKeyThreads>(keys, key + key_rows.offset(place.batch, place.head, 0), key_rows.row,
                                      place.first, plan.keys, plan.size);
  copy_tile<T, W, kKeys, kKeyThreads>(values, value + value_rows.offset(place.batch, place.head, 0), value_rows.row,
                                      place.first, plan.keys, plan.size);
  end_group();
  float key_sums[W / 8][4] = {}, value_sums[W / 8][4] = {};
  const float scale = plan.scale * kLog2E;
  for (int shared = 0; shared < plan.shared; ++shared) {
    const int head = place.head * plan.shared + shared;
    const int64_t at = (place.batch * plan.heads + head) * plan.length;
    const float *lse = statistics.lse + at, *mean = statistics.mean + at;
    const T* head_queries = query + query_rows.offset(place.batch, head, 0);
    const T* head_grads = grad + grad_rows.offset(place.batch, head, 0);
    const float* added = bias.data ? bias.data + place.batch * bias.batch + head * bias.head : nullptr;
    for (int from = plan.first_query(place.first) / kBackwardTile * kBackwardTile; from < plan.length;
         from += kBackwardTile) {
      __syncthreads();  // the tiles are used again
      copy_tile<T, W, kBackwardTile, kKeyThreads>(queries, head_queries, query_rows.row, from, plan.length, plan.size);
      copy_tile<T, W, kBackwardTile, kKeyThreads>(grads, head_grads, grad_rows.row, from, plan.length, plan.size);
      end_group();
      wait_for_groups<0>();
      __syncthreads();
      // Rows are keys and columns queries.
      float weights[kBackwardTile / 8][4] = {}, slopes[kBackwardTile / 8][4] = {};
      times_rows<T, W, kBackwardTile>(weights, [&](int k) { return rows_of_tile<T, W>(keys, own, k); }, queries);
      times_rows<T, W, kBackwardTile>(slopes, [&](int k) { return rows_of_tile<T, W>(values, own, k); }, grads);
      each_element<kBackwardTile>([&](float& x, int, int) { x *= scale; }, weights);
      if (added)
        each_element<kBackwardTile>(
            [&](float& x, int half, int column) {
              const int k = first + lane_row(half), q = from + column;
              if (k < plan.keys && q < plan.length) x += added[q * bias.query + k * bias.key] * kLog2E;
            },
            weights);
      // Columns [begin, end) see the lane's rows. Rows behind the last key are like others, but not written.
      const int begin[] = {plan.first_query(first + lane_row(0)) - from, plan.first_query(first + lane_row(1)) - from},
                end = plan.length - from;
      each_element<kBackwardTile>(
          [&](float& p, float& slope, int half, int column) {
            const bool there = column < end;
            const float high = there ? lse[from + column] * kLog2E : 0, middle = there ? mean[from + column] : 0;
            p = there && column >= begin[half] ? power_of_two(p - high) : 0;
            slope = p * (slope - middle);
          },
          weights, slopes);
      times_tile<T, W, kBackwardTile>(value_sums, weights, grads);
      times_tile<T, W, kBackwardTile>(key_sums, slopes, queries);
    }
  }
  wait_for_groups<0>();  // where no query sees the keys, too
  const int64_t at = (place.batch * (plan.heads / plan.shared) + place.head) * plan.keys * plan.size;
  store_rows<T, W>(to_key + at, key_sums, first, plan.keys, plan.size, [&](int) { return plan.scale; });
  store_rows<T, W>(to_value + at, value_sums, first, plan.keys, plan.size, [](int) { return 1.0f; });
}

template <class T, int W>
__global__ void __launch_bounds__(kQueryThreads, W == 64 ? 2 : 1)
    query_kernel(const __grid_constant__ AttentionPlan plan, const T* query, const HeadRows query_rows, const T* key,
                 const HeadRows key_rows, const T* value, const HeadRows value_rows, const T* grad,
                 const HeadRows grad_rows, const ScoreBias bias, const Statistics statistics, T* to_query) {
  alignas(16) __shared__ T keys[kStages][kBackwardTile * W];
  alignas(16) __shared__ T values[kStages][kBackwardTile * W];
  const AttentionPlan::Place place = plan.query_place(blockIdx.x);
  const int first = place.first + static_cast<int>(threadIdx.x / 32) * kWarpRows;
  const T* head_keys = key + key_rows.offset(place.batch, place.head / plan.shared, 0);
  const T* head_values = value + value_rows.offset(place.batch, place.head / plan.shared, 0);
  const int end = plan.keys_seen(place.first, kQueries);
  auto begin = [&](int from, int into) {
    copy_tile<T, W, kBackwardTile, kQueryThreads>(keys[into], head_keys, key_rows.row, from, plan.keys, plan.size);
    copy_tile<T, W, kBackwardTile, kQueryThreads>(values[into], head_values, value_rows.row, from, plan.keys,
                                                  plan.size);
    end_group();
  };
  begin(0, 0);
  Fragment rows[W / 16], grads[W / 16];
  load_rows<T, W>(rows, query + query_rows.offset(place.batch, place.head, 0), query_rows.row, first, plan.length,
                  plan.size);
  load_rows<T, W>(grads, grad + grad_rows.offset(place.batch, place.head, 0), grad_rows.row, first, plan.length,
                  plan.size);
  const int64_t head = place.batch * plan.heads + place.head;
  float lse[2] = {}, mean[2] = {};
#pragma unroll
  for (int half = 0; half < 2; ++half)
    if (const int row = first + lane_row(half); row < plan.length) {
      lse[half] = statistics.lse[head * plan.length + row] * kLog2E;
      mean[half] = statistics.mean[head * plan.length + row];
    }
  const float* added = bias.data ? bias.data + place.batch * bias.batch + place.head * bias.head : nullptr;
  float sums[W / 8][4] = {};
  const float scale = plan.scale * kLog2E;
  for (int from = 0, slot = 0; from < end; from += kBackwardTile, slot = 1 - slot) {
    wait_for_groups<0>();
    __syncthreads();  // the tile is there, and that before it is free
    if (from + kBackwardTile < end) begin(from + kBackwardTile, 1 - slot);
    if (from >= plan.keys_seen(first, kWarpRows) || first >= plan.length) continue;  // the same for all lanes
    float weights[kBackwardTile / 8][4] = {}, slopes[kBackwardTile / 8][4] = {};
    times_rows<T, W, kBackwardTile>(weights, [&](int k) { return rows[k]; }, keys[slot]);
    times_rows<T, W, kBackwardTile>(slopes, [&](int k) { return grads[k]; }, values[slot]);
    const int last[] = {plan.last_key(first + lane_row(0)) - from, plan.last_key(first + lane_row(1)) - from};
    each_element<kBackwardTile>([&](float& x, int, int) { x *= scale; }, weights);
    if (added) add_bias<kBackwardTile>(weights, added, bias, plan, first, from, last);
    each_element<kBackwardTile>(
        [&](float& p, float& slope, int half, int column) {
          p = column <= last[half] ? power_of_two(p - lse[half]) : 0;
          slope = p * (slope - mean[half]);
        },
        weights, slopes);
    times_tile<T, W, kBackwardTile>(sums, slopes, keys[slot]);
  }
  store_rows<T, W>(to_query + head * plan.length * plan.size, sums, first, plan.length, plan.size,
                   [&](int) { return plan.scale; });
}

void backward(atled_frame* f) {
  const AttentionOperands o(f, 1, 7);
  if (!o.fit()) return attention_backward_by_products(f);
  HeadOperand grad(arg_tensor(f, 0)), attended(arg_tensor(f, 5));
  for (HeadOperand* each : {&grad, &attended}) each->rows = o.by_query(each->rows);
  const Tensor lse = contiguous(arg_tensor(f, 6));
  const Tensor mean = Tensor::empty(ATLED_FLOAT32, 3, lse->dl.shape, lse->dl.device);
  const On on(o.query.tensor);
  o.visit([&](auto tag, auto width) {
    using T = typename decltype(tag)::type;
    constexpr int W = decltype(width)::value;
    const T *q = data<const T>(o.query.tensor), *k = data<const T>(o.key.tensor), *v = data<const T>(o.value.tensor),
            *g = data<const T>(grad.tensor);
    const Statistics statistics{data<const float>(lse), data<const float>(mean)};
    on.run(mean_kernel<T>, blocks_for(numel(lse), kThreads / 32), g, grad.rows, data<const T>(attended.tensor),
           attended.rows, data<float>(mean), o.plan, numel(lse));
    launch(key_kernel<T, W>, static_cast<unsigned>(o.plan.key_blocks()), kKeyThreads, on.stream(), o.plan, q,
           o.query.rows, k, o.key.rows, v, o.value.rows, g, grad.rows, o.bias, statistics, data<T>(out_tensor(f, 1)),
           data<T>(out_tensor(f, 2)));
    launch(query_kernel<T, W>, static_cast<unsigned>(o.plan.query_blocks()), kQueryThreads, on.stream(), o.plan, q,
           o.query.rows, k, o.key.rows, v, o.value.rows, g, grad.rows, o.bias, statistics, data<T>(out_tensor(f, 0)));
  });
}

void add_attention_backward() { add_cuda_kernel<backward>("nn::fused_attention_backward"); }
ATLED_CUDA_KERNELS(add_attention_backward);

}  // namespace

}  // namespace atled::nn
