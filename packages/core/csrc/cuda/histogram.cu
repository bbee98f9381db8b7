#include "cuda/counting.h"
#include "cuda/readback.h"
#include "functors/histogram.h"

namespace atled::core::cuda {

namespace {

// One dimension more: the cell of each row among all, in row-major order; -1 outside.
__global__ void __launch_bounds__(kThreads)
    cell_kernel(const double* x, int64_t step, int64_t* cells, int64_t n, const BinEdges edges, bool first) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    const int64_t bin = edges.find(x[i * step]), before = first ? 0 : cells[i];
    cells[i] = before < 0 || bin < 0 ? -1 : before * edges.bins + bin;
  }
}

void expect_rising(const std::vector<double>& edges) {
  for (size_t i = 0; i + 1 < edges.size(); ++i)
    if (!(edges[i] <= edges[i + 1]))
      fail(ATLED_E_VALUE, "expected edges that rise, got %g before %g", edges[i], edges[i + 1]);
}

void bin_counts(atled_frame* f) {
  const Tensor input = contiguous(arg_tensor(f, 0), ATLED_FLOAT64);
  const atled_tensor* out = out_tensor(f);
  const DLDevice device = out->dl.device;
  const int64_t n = input->dl.shape[0], width = input->dl.shape[1];
  DeviceGuard current(device.device_id);
  const Tensor cells = Tensor::empty(ATLED_INT64, {n}, device);
  for (uint32_t d = 0; d < f->args[2].n; ++d) {
    const Tensor owner = contiguous(f->args[2].u.tensors[d], ATLED_FLOAT64);
    const std::vector<double> edges = read_back(data<double>(owner), numel(owner), device);
    expect_rising(edges);
    if (n == 0) continue;
    const BinEdges bins(data<double>(owner), numel(owner) - 1, edges.front(), edges.back(), arg_bool(f, 3));
    launch(cell_kernel, blocks_for(n, kThreads), kThreads, current_stream(device.device_id), data<double>(input) + d,
           width, data<int64_t>(cells), n, bins, d == 0);
  }
  if (!arg_is_none(f, 1)) {
    const Tensor weight = contiguous(arg_tensor(f, 1), ATLED_FLOAT64);
    return sum_places(data<int64_t>(cells), data<double>(weight), n, data<double>(out), numel(out), device);
  }
  const Tensor counts = Tensor::empty(ATLED_UINT64, out->dl.ndim, out->dl.shape, device);
  count_places(data<int64_t>(cells), n, data<uint64_t>(counts), numel(counts), device);
  assign(out, counts.get());
}

void add_histogram() { cuda_kernel("core::bin_counts", kernel<bin_counts>); }
ATLED_CUDA_KERNELS(add_histogram);

}  // namespace

}  // namespace atled::core::cuda
