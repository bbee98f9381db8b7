#include "cuda/product_kernels.cuh"

namespace atled::core::cuda {

namespace {

constexpr int kTile = 64;   // rows and columns of out that a block makes
constexpr int kDepth = 16;  // of k at once
constexpr int kSide = 16;   // threads along each, each with kEach x kEach elements
constexpr int kEach = kTile / kSide;

struct TileLayout {
  int64_t m, n, k, out_step, x_row, x_column, y_row, y_column, row_tiles, column_tiles, tiles;
  bool x_along_k, y_along_k;  // where neighbouring threads find neighbouring elements
  ReduceOffsets batch;
};

// Element (line, depth) of a tile of kTile x kDepth into tile[depth][line], 0 beyond the borders.
template <class P>
__device__ __forceinline__ void load_tile(typename P::Acc (&tile)[kDepth][kTile + 1], const typename P::Stored* from,
                                          int64_t lines, int64_t depth, int64_t line_step, int64_t depth_step,
                                          bool along_k) {
#pragma unroll
  for (int i = 0; i < kTile * kDepth / kThreads; ++i) {
    const int e = static_cast<int>(threadIdx.x) + i * kThreads;
    const int line = along_k ? e / kDepth : e % kTile, d = along_k ? e % kDepth : e / kTile;
    typename P::Acc value{};
    if (line < lines && d < depth) value = P::wide(from[line * line_step + d * depth_step]);
    tile[d][line] = value;
  }
}

template <class P>
__global__ void __launch_bounds__(kThreads)
    tile_kernel(const typename P::Stored* x, const typename P::Stored* y, typename P::Stored* out,
                const typename P::Stored* c, const Ending<P> ending, const __grid_constant__ TileLayout layout) {
  using Acc = typename P::Acc;
  __shared__ Acc x_tile[kDepth][kTile + 1];
  __shared__ Acc y_tile[kDepth][kTile + 1];
  const int column = threadIdx.x % kSide, row = threadIdx.x / kSide;
  for (int64_t tile = blockIdx.x; tile < layout.tiles; tile += gridDim.x) {
    const int64_t batch = tile / (layout.row_tiles * layout.column_tiles);
    const int64_t rest = tile % (layout.row_tiles * layout.column_tiles);
    const int64_t first_row = rest / layout.column_tiles * kTile, first_column = rest % layout.column_tiles * kTile;
    int64_t x_at, y_at;
    layout.batch.locate(batch, x_at, y_at);
    x_at += first_row * layout.x_row;
    y_at += first_column * layout.y_column;
    Acc sums[kEach][kEach] = {};
    for (int64_t k = 0; k < layout.k; k += kDepth) {
      __syncthreads();  // the tiles are used again
      load_tile<P>(x_tile, x + x_at + k * layout.x_column, layout.m - first_row, layout.k - k, layout.x_row,
                   layout.x_column, layout.x_along_k);
      load_tile<P>(y_tile, y + y_at + k * layout.y_row, layout.n - first_column, layout.k - k, layout.y_column,
                   layout.y_row, layout.y_along_k);
      __syncthreads();
#pragma unroll 4
      for (int d = 0; d < kDepth; ++d) {
        Acc left[kEach], right[kEach];
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
          left[i] = x_tile[d][row + i * kSide];
          right[i] = y_tile[d][column + i * kSide];
        }
#pragma unroll
        for (int i = 0; i < kEach; ++i)
#pragma unroll
          for (int j = 0; j < kEach; ++j) sums[i][j] = P::plus_product(sums[i][j], left[i], right[j]);
      }
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i)
#pragma unroll
      for (int j = 0; j < kEach; ++j) {
        const int64_t at_row = first_row + row + i * kSide, at_column = first_column + column + j * kSide;
        if (at_row >= layout.m || at_column >= layout.n) continue;
        const int64_t at = batch * layout.out_step + at_row * layout.n + at_column;
        ending.store(out + at, c + at, sums[i][j]);
      }
  }
}

}  // namespace

void multiply_tiles(const ProductJob& job) {
  TileLayout layout{};
  layout.m = job.m;
  layout.n = job.n;
  layout.k = job.k;
  layout.out_step = job.out_step;
  layout.x_row = job.x_row;
  layout.x_column = job.x_column;
  layout.y_row = job.y_row;
  layout.y_column = job.y_column;
  layout.row_tiles = (job.m + kTile - 1) / kTile;
  layout.column_tiles = (job.n + kTile - 1) / kTile;
  layout.tiles = job.batches * layout.row_tiles * layout.column_tiles;
  layout.x_along_k = job.x_column == 1;
  layout.y_along_k = job.y_row == 1;
  layout.batch = job.batch;
  visit_products(job.dtype, [&](auto tag) {
    using P = typename decltype(tag)::type;
    using T = typename P::Stored;
    launch(tile_kernel<P>, blocks_for(layout.tiles, 1), kThreads, current_stream(job.device),
           static_cast<const T*>(job.x), static_cast<const T*>(job.y), static_cast<T*>(job.out),
           static_cast<const T*>(job.c), Ending<P>(job.alpha, job.beta), layout);
  });
}

}  // namespace atled::core::cuda
