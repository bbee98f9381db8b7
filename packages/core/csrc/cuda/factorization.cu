// The order of rows that the pivots of an LU factorization stand for. The factorizations themselves are cuSOLVER's
// (src/atled/core/_cupy).
#include "cuda/launch.cuh"
#include "cuda/reduce.cuh"

namespace atled::core::cuda {

namespace {

// One thread for each matrix: exchanges come one after the other.
__global__ void permutation_kernel(const int64_t* pivots, int64_t k, int64_t* orders, int64_t n, int64_t count,
                                   bool* bad) {
  for (int64_t b = thread_index(); b < count; b += thread_count()) {
    int64_t* order = orders + b * n;
    for (int64_t i = 0; i < n; ++i) order[i] = i;
    for (int64_t i = 0; i < k; ++i) {
      const int64_t other = pivots[b * k + i] - 1;
      if (other < 0 || other >= n) {
        *bad = true;
        break;
      }
      const int64_t row = order[i];
      order[i] = order[other];
      order[other] = row;
    }
  }
}

[[noreturn]] void fail_pivot(const Tensor& pivots, int64_t n) {
  static const Op to{"core::to"};
  const Tensor here = to(pivots, none(), device_value(DLDevice{kDLCPU, 0}));
  const int64_t* each = data<int64_t>(here);
  while (*each >= 1 && *each <= n) ++each;
  fail(ATLED_E_BOUNDS, "expected pivots in [1, %lld], got %lld", (long long)n, (long long)*each);
}

void pivots_to_permutation(atled_frame* f) {
  const Tensor pivots = contiguous(arg_tensor(f, 0), ATLED_INT64);
  atled_tensor* out = out_tensor(f);
  const int64_t n = arg_int(f, 1), k = pivots->dl.shape[pivots->dl.ndim - 1], count = n ? numel(out) / n : 0;
  if (count == 0) return;
  const DLDevice where = out->dl.device;
  DeviceGuard device(where.device_id);
  const Flag bad(where);
  launch(permutation_kernel, blocks_for(count, kThreads), kThreads, current_stream(where.device_id),
         data<const int64_t>(pivots), k, data<int64_t>(out), n, count, bad.get());
  if (bad.is_set()) fail_pivot(pivots, n);
}

void add_factorization() { cuda_kernel("linalg::_pivots_to_permutation", kernel<pivots_to_permutation>); }
ATLED_CUDA_KERNELS(add_factorization);

}  // namespace

}  // namespace atled::core::cuda
