// The device's side of index_error.h, and indices as kernels read them.
#pragma once

#include "cuda/index_error.h"

namespace atled::core::cuda {

// The first error since the last that was raised stays.
static __device__ __forceinline__ void report_index(const IndexSite& site, int dim, int64_t value, int64_t bound) {
  if (atomicCAS(site.claimed, 0u, 1u) != 0u) return;
  volatile IndexErrorRecord* record = site.record;
  record->dim = dim;
  record->value = value;
  record->bound = bound;
  record->op = site.op;
  record->call = site.call;
  __threadfence_system();
  record->found = 1;
}

// Wraps an index into [0, n); false, with 0 as the index, when it is outside [-n, n).
static __device__ __forceinline__ bool settle_index(int64_t& index, int64_t n, int dim, const IndexSite& site) {
  const int64_t wrapped = index < 0 ? index + n : index;
  if (static_cast<uint64_t>(wrapped) < static_cast<uint64_t>(n)) {
    index = wrapped;
    return true;
  }
  report_index(site, dim, index, n);
  index = 0;
  return false;
}

}  // namespace atled::core::cuda
