#include "cuda/reduce.cuh"
#include "cuda/runs.h"
#include "ops/layout.h"

namespace atled::core::cuda {

namespace {

void unique_dim(atled_frame* f) {
  static const Op index_select{"core::index_select"};
  atled_tensor* input = arg_tensor(f, 0);
  if (input->dl.ndim == 0) fail(ATLED_E_SHAPE, "expected input of at least one dimension, got shape ()");
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
  Layout turned(input);
  const int64_t n = turned.shape[dim], stride = turned.strides[dim];
  turned.erase(dim);
  turned.insert(0, n, stride);
  const Rows rows = rows_of(contiguous(turned.view(input), input->dtype), n);
  const Runs runs(rows, arg_bool(f, 2) ? Tensor() : lexicographic_order(rows));
  const Tensor inverse = Tensor::empty(ATLED_INT64, {n}, input->dl.device);
  runs.number_rows(inverse);
  set_out(f, 0, index_select(input, dim, runs.firsts()));
  set_out(f, 1, inverse);
  set_out(f, 2, runs.counts());
}

void add_sets() { cuda_kernel("core::unique_dim", kernel<unique_dim>); }
ATLED_CUDA_KERNELS(add_sets);

}  // namespace

}  // namespace atled::core::cuda
