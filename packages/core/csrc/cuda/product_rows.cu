#include "cuda/product_kernels.cuh"

namespace atled::core::cuda {

namespace {

struct RowsLayout {
  int64_t rows, outputs, length, chunk_length, row_step, out_step;  // lengths in vectors, steps in elements
  uint32_t lane_bits;
  ReduceOffsets batch;  // from a batch to the rows' and the vector's elements
};

// across_lanes combines by it.
template <class P>
struct Sum {
  using Acc = typename P::Acc;
  ATLED_FN Acc combine(Acc a, Acc b) const { return P::plus(a, b); }
};

// Blocks: outputs along x, chunks along y, as in reduce_kernel; `partial` is NULL where there is one chunk.
template <class P, int V>
__global__ void __launch_bounds__(kReduceThreads)
    rows_kernel(const typename P::Stored* rows, const typename P::Stored* vector, typename P::Stored* out,
                const typename P::Stored* c, typename P::Acc* partial, uint32_t* tickets, const Ending<P> ending,
                const __grid_constant__ RowsLayout layout) {
  using Acc = typename P::Acc;
  using Piece = Vector<typename P::Stored, V>;
  const uint32_t lanes = 1u << layout.lane_bits, per_block = kReduceThreads >> layout.lane_bits;
  const uint32_t lane = threadIdx.x & (lanes - 1), chunks = gridDim.y;
  const int64_t blocks = (layout.outputs + per_block - 1) / per_block;
  const int64_t from = blockIdx.y * layout.chunk_length;
  const int64_t to = from + layout.chunk_length < layout.length ? from + layout.chunk_length : layout.length;
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const int64_t output = block * per_block + (threadIdx.x >> layout.lane_bits);
    const bool here = output < layout.outputs;
    Acc sum{};
    if (here) {
      const int64_t batch = output / layout.rows, row = output % layout.rows;
      int64_t row_at, vector_at;
      layout.batch.locate(batch, row_at, vector_at);
      const Piece* a = reinterpret_cast<const Piece*>(rows + row_at + row * layout.row_step);
      const Piece* b = reinterpret_cast<const Piece*>(vector + vector_at);
#pragma unroll 4
      for (int64_t i = from + lane; i < to; i += lanes) {
        const Piece left = a[i], right = b[i];
#pragma unroll
        for (int v = 0; v < V; ++v) sum = P::plus_product(sum, P::wide(left.item[v]), P::wide(right.item[v]));
      }
    }
    sum = across_lanes(Sum<P>{}, sum, lane, lanes, 1);
    if (partial) {
      if (here && lane == 0) partial[output * chunks + blockIdx.y] = sum;
      if (!is_last(tickets + block, chunks)) continue;
      sum = Acc{};
      if (here)
        for (uint32_t i = lane; i < chunks; i += lanes) sum = P::plus(sum, partial[output * chunks + i]);
      sum = across_lanes(Sum<P>{}, sum, lane, lanes, 1);
    }
    __syncthreads();  // the storage is used again
    if (!here || lane != 0) continue;
    const int64_t at = output / layout.rows * layout.out_step + output % layout.rows;
    ending.store(out + at, c + at, sum);
  }
}

// The product with the vector on the right.
struct Rows {
  const void *rows, *vector;
  int64_t count, step;
  bool swapped;  // which of the job's operands the rows are
};

Rows rows_of(const ProductJob& job) {
  if (job.n == 1) return Rows{job.x, job.y, job.m, job.m > 1 ? job.x_row : 0, false};
  return Rows{job.y, job.x, job.n, job.n > 1 ? job.y_column : 0, true};
}

// Whether every vector of `width` bytes lies at a multiple of it.
bool aligned(const ProductJob& job, const Rows& r, int64_t item, int64_t width) {
  auto whole = [&](int64_t elements) { return elements * item % width == 0; };
  bool fits = whole(job.k) && whole(r.step) &&
              reinterpret_cast<uintptr_t>(r.rows) % static_cast<uintptr_t>(width) == 0 &&
              reinterpret_cast<uintptr_t>(r.vector) % static_cast<uintptr_t>(width) == 0;
  for (int d = 0; d < job.batch.n; ++d) fits = fits && whole(job.batch.in[d]) && whole(job.batch.out[d]);
  return fits;
}

template <class P, int V>
void run(const ProductJob& job, const Rows& r) {
  using T = typename P::Stored;
  using Acc = typename P::Acc;
  ReduceDims kept, vectors;
  kept.append(job.batches * r.count, INT64_MAX, 0);
  vectors.append(job.k / V, V, 0);
  const ReducePlan plan = plan_reduction(kept, vectors, static_cast<int64_t>(sizeof(T)) * V);
  RowsLayout layout{r.count, plan.outputs, plan.length,    plan.chunk_length,
                    r.step,  job.out_step, plan.lane_bits, job.batch};
  if (r.swapped)
    for (int d = 0; d < layout.batch.n; ++d) {
      layout.batch.in[d] = job.batch.out[d];
      layout.batch.out[d] = job.batch.in[d];
    }
  const cudaStream_t stream = current_stream(job.device);
  SharedOutputs<Acc> shared;
  if (plan.chunks > 1) shared = SharedOutputs<Acc>(DLDevice{kDLCUDA, job.device}, stream, plan);
  const dim3 blocks(blocks_for(plan.output_blocks(), 1), static_cast<unsigned>(plan.chunks));
  launch(rows_kernel<P, V>, blocks, kReduceThreads, stream, static_cast<const T*>(r.rows),
         static_cast<const T*>(r.vector), static_cast<T*>(job.out), static_cast<const T*>(job.c), shared.partial,
         shared.tickets.get(), Ending<P>(job.alpha, job.beta), layout);
}

}  // namespace

void multiply_rows(const ProductJob& job) {
  const Rows r = rows_of(job);
  visit_products(job.dtype, [&](auto tag) {
    using P = typename decltype(tag)::type;
    constexpr int kItem = sizeof(typename P::Stored);
    if constexpr (kItem < 16)
      if (aligned(job, r, kItem, 16)) return run<P, 16 / kItem>(job, r);
    run<P, 1>(job, r);
  });
}

}  // namespace atled::core::cuda
