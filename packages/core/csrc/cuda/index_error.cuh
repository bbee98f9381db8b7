// The device's side of index_error.h, and indices as kernels read them.
#pragma once

#include "cuda/index_error.h"

namespace atled::core::cuda {

using atled::cuda::report_index;

// Wraps an index into [0, n); false, with 0 as the index, when it is outside [-n, n). A call's first kernel tells of
// it.
template <bool kTells = true>
static __device__ __forceinline__ bool settle_index(int64_t& index, int64_t n, int dim, const IndexSite& site) {
  const int64_t wrapped = index < 0 ? index + n : index;
  if (static_cast<uint64_t>(wrapped) < static_cast<uint64_t>(n)) {
    index = wrapped;
    return true;
  }
  if constexpr (kTells) report_index(site, dim, index, n);
  index = 0;
  return false;
}

}  // namespace atled::core::cuda
