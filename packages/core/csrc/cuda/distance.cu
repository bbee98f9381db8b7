#include "cuda/reduce.cuh"
#include "functors/distance.h"
#include "ops/layout.h"

namespace atled::core::cuda {

namespace {

constexpr int kSide = 64, kDepth = 16, kEach = 4;  // distances of a block, coordinates at a time, distances of a thread
constexpr int kGrid = kSide / kEach;

struct DistanceShape {
  int64_t batches, rows, columns, n;
  int64_t row_tiles() const { return (rows + kSide - 1) / kSide; }
  int64_t column_tiles() const { return (columns + kSide - 1) / kSide; }
};

// A square of distances for each block. Sums are made of kDepth coordinates each, and these added in order.
template <class A, class M>
__global__ void __launch_bounds__(kThreads) distance_kernel(const A* x1, const A* x2, A* out, const DistanceShape shape,
                                                            int64_t row_tiles, int64_t column_tiles, const M metric) {
  __shared__ A xs[kDepth][kSide + 1], ys[kDepth][kSide + 1];
  const int column_at = threadIdx.x % kGrid, row_at = threadIdx.x / kGrid;
  for (int64_t tile = blockIdx.x; tile < shape.batches * row_tiles * column_tiles; tile += gridDim.x) {
    const int64_t rest = tile / column_tiles, batch = rest / row_tiles;
    const int64_t first_row = (rest - batch * row_tiles) * kSide, first_column = (tile - rest * column_tiles) * kSide;
    const A *x = x1 + batch * shape.rows * shape.n, *y = x2 + batch * shape.columns * shape.n;
    A sums[kEach][kEach] = {};
    for (int64_t k = 0; k < shape.n; k += kDepth) {
      __syncthreads();
      for (int i = threadIdx.x; i < kSide * kDepth; i += kThreads) {
        const int line = i / kDepth, depth = i % kDepth;
        const bool inside = k + depth < shape.n;
        const int64_t row = first_row + line, column = first_column + line;
        xs[depth][line] = inside && row < shape.rows ? x[row * shape.n + k + depth] : A(0);
        ys[depth][line] = inside && column < shape.columns ? y[column * shape.n + k + depth] : A(0);
      }
      __syncthreads();
      A parts[kEach][kEach] = {};
      // Zeros beyond the last coordinate add nothing. Powers are too long to be written out often.
      [[maybe_unused]] constexpr int kUnroll = std::is_same_v<M, PowerOf> ? 1 : kDepth;
#pragma unroll kUnroll
      for (int depth = 0; depth < kDepth; ++depth) {
        A a[kEach], b[kEach];
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
          a[i] = xs[depth][row_at + i * kGrid];
          b[i] = ys[depth][column_at + i * kGrid];
        }
#pragma unroll
        for (int i = 0; i < kEach; ++i)
#pragma unroll
          for (int j = 0; j < kEach; ++j) parts[i][j] = metric.add(parts[i][j], a[i] - b[j]);
      }
#pragma unroll
      for (int i = 0; i < kEach; ++i)
#pragma unroll
        for (int j = 0; j < kEach; ++j) sums[i][j] = metric.join(sums[i][j], parts[i][j]);
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i)
#pragma unroll
      for (int j = 0; j < kEach; ++j) {
        const int64_t row = first_row + row_at + i * kGrid, column = first_column + column_at + j * kGrid;
        if (row < shape.rows && column < shape.columns)
          out[(batch * shape.rows + row) * shape.columns + column] = metric.finish(sums[i][j]);
      }
  }
}

void cdist(atled_frame* f) {
  const atled_tensor* out = out_tensor(f);
  const int64_t total = numel(out);
  if (total == 0) return;
  const int ndim = out->dl.ndim, dtype = compute_dtype(out->dtype);
  const Tensor x1 = contiguous(batched(arg_tensor(f, 0), out), dtype),
               x2 = contiguous(batched(arg_tensor(f, 1), out), dtype);
  DistanceShape shape{0, out->dl.shape[ndim - 2], out->dl.shape[ndim - 1], x1->dl.shape[ndim - 1]};
  shape.batches = total / (shape.rows * shape.columns);
  const bool direct = is_contiguous(out) && out->dtype == dtype;
  const Tensor found =
      direct ? Tensor::borrow(out_tensor(f)) : Tensor::empty(dtype, ndim, out->dl.shape, out->dl.device);
  const int64_t rows = shape.row_tiles(), columns = shape.column_tiles();
  DeviceGuard device(out->dl.device.device_id);
  visit_metric(arg_double(f, 2), [&](const auto& metric) {
    using M = std::decay_t<decltype(metric)>;
    auto run = [&](auto tag) {
      using A = typename decltype(tag)::type;
      launch(distance_kernel<A, M>, blocks_for(shape.batches * rows * columns, 1), kThreads,
             current_stream(out->dl.device.device_id), data<A>(x1), data<A>(x2), data<A>(found), shape, rows, columns,
             metric);
    };
    dtype == ATLED_FLOAT32 ? run(Tag<float>{}) : run(Tag<double>{});
  });
  if (!direct) assign(out, found.get());
}

void add_distance() { cuda_kernel("core::cdist", kernel<cdist>); }
ATLED_CUDA_KERNELS(add_distance);

}  // namespace

}  // namespace atled::core::cuda
