#include "cuda/elementwise.cuh"
#include "cuda/transpose.h"
#include "cuda/transpose_plan.h"
#include "ops/layout.h"

namespace atled::core::cuda {

namespace {

constexpr int kWarp = 32;

// A row beside another of the tile lies in other banks of memory.
template <class U, int kSide>
__global__ void __launch_bounds__(kThreads)
    transpose_kernel(const char* in, char* out, const __grid_constant__ TransposeTiles tiles) {
  __shared__ U tile[kSide][kSide + 1];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (uint32_t t = blockIdx.x; t < tiles.total; t += gridDim.x) {
    int64_t row, column, from, to;
    tiles.locate(t, kSide, row, column, from, to);
    const int64_t rows = tiles.rows - row, columns = tiles.columns - column;
    const char* source = in + from + row * tiles.in_step + column * static_cast<int64_t>(sizeof(U));
    char* target = out + to + column * tiles.out_step + row * static_cast<int64_t>(sizeof(U));
#pragma unroll
    for (int i = 0; i < kSide; i += kThreads / kWarp)
#pragma unroll
      for (int j = 0; j < kSide; j += kWarp)
        if (i + warp < rows && j + lane < columns)
          tile[i + warp][j + lane] = reinterpret_cast<const U*>(source + (i + warp) * tiles.in_step)[j + lane];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kSide; i += kThreads / kWarp)
#pragma unroll
      for (int j = 0; j < kSide; j += kWarp)
        if (i + warp < columns && j + lane < rows)
          reinterpret_cast<U*>(target + (i + warp) * tiles.out_step)[j + lane] = tile[j + lane][i + warp];
    __syncthreads();
  }
}

Walk walk_of(const atled_tensor* out, const atled_tensor* in) {
  Walk walk;
  const int64_t item = itemsize(out->dtype);
  walk.operands = 2;
  walk.ndim = out->dl.ndim;
  for (int d = 0; d < walk.ndim; ++d) {
    const int from = walk.ndim - 1 - d;
    walk.sizes[d] = out->dl.shape[from];
    walk.strides[0][d] = out->dl.strides[from] * item;
    walk.strides[1][d] = in->dl.strides[from] * item;
  }
  walk.simplify();
  return walk;
}

}  // namespace

bool transpose(const atled_tensor* out, const atled_tensor* in) {
  if (out->dl.ndim < 2 || numel(out) == 0 || (is_contiguous(out) && is_contiguous(in)) || !same_shape(out, in))
    return false;
  const TransposePlan plan = plan_transpose(walk_of(out, in), itemsize(out->dtype));
  if (!plan.applies || !TransposeTiles::fits(plan, kWarp)) return false;
  DeviceGuard device(out->dl.device.device_id);
  visit_size(itemsize(out->dtype), [&](auto tag) {
    using U = typename decltype(tag)::type;
    constexpr int kSide = sizeof(U) < 4 ? 2 * kWarp : kWarp;
    const TransposeTiles tiles(plan, kSide);
    launch(transpose_kernel<U, kSide>, blocks_for(tiles.total, 1, kMaxOffset), kThreads,
           current_stream(out->dl.device.device_id), data<const char>(in), data<char>(out), tiles);
  });
  return true;
}

}  // namespace atled::core::cuda
