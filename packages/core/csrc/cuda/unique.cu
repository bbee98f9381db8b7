#include "cuda/reduce.cuh"
#include "cuda/runs.h"
#include "cuda/sorting.h"
#include "ops/layout.h"

namespace atled::core::cuda {

namespace {

Tensor flat(const Tensor& whole) {
  Layout layout;
  layout.push(numel(whole), 1);
  return layout.view(whole);
}

void unique_all(atled_frame* f) {
  const Tensor whole = contiguous(arg_tensor(f, 0), arg_tensor(f, 0)->dtype), line = flat(whole);
  const int64_t n = numel(whole);
  Tensor order;
  if (is_complex(whole->dtype)) {
    order = lexicographic_order(rows_of(line, n));
  } else {
    order = Tensor::empty(ATLED_INT64, {n}, whole->dl.device);
    sort_lines(line, false, n, nullptr, order);
  }
  const Runs runs(rows_of(line, n), order);
  const Tensor inverse = Tensor::empty(ATLED_INT64, whole->dl.ndim, whole->dl.shape, whole->dl.device);
  runs.number_rows(inverse);
  set_out(f, 0, runs.taken(line, false));
  set_out(f, 1, runs.firsts());
  set_out(f, 2, inverse);
  set_out(f, 3, runs.counts());
}

void unique_consecutive_all(atled_frame* f) {
  const Tensor whole = contiguous(arg_tensor(f, 0), arg_tensor(f, 0)->dtype), line = flat(whole);
  const DLDevice device = whole->dl.device;
  const Runs runs(rows_of(line, numel(whole)), Tensor());
  set_out(f, 0, runs.taken(line, true));
  Tensor inverse = Tensor::empty(ATLED_INT64, {0}, device), counts = inverse;
  if (arg_bool(f, 1)) {
    inverse = Tensor::empty(ATLED_INT64, whole->dl.ndim, whole->dl.shape, device);
    runs.number_rows(inverse);
  }
  if (arg_bool(f, 2)) counts = runs.counts();
  set_out(f, 1, inverse);
  set_out(f, 2, counts);
}

// The values alone need neither places nor a way back.
void unique_values(atled_frame* f) {
  const Tensor whole = contiguous(arg_tensor(f, 0), arg_tensor(f, 0)->dtype), line = flat(whole);
  const int64_t n = numel(whole);
  if (is_complex(whole->dtype)) {
    const Rows rows = rows_of(line, n);
    return set_out(f, 0, Runs(rows, lexicographic_order(rows)).taken(line, false));
  }
  const Tensor sorted = Tensor::empty_like(line);
  sort_lines(line, false, n, sorted, nullptr);
  set_out(f, 0, Runs(rows_of(sorted, n), Tensor()).taken(sorted, true));
}

void add_unique() {
  cuda_kernel("core::unique_all", kernel<unique_all>);
  cuda_kernel("core::unique_consecutive_all", kernel<unique_consecutive_all>);
  cuda_kernel("core::unique_values", kernel<unique_values>);
}
ATLED_CUDA_KERNELS(add_unique);

}  // namespace

}  // namespace atled::core::cuda
