// Where the elements that indices name lie: plain functions, compiled for the host too.
#pragma once

#include <cstdint>

#include "cuda/geometry.h"

namespace atled::core::cuda {

// A walk in order over dimensions of N operands, innermost first, with strides of 64 bits; false from add() when there
// are more dimensions that do not join than a kernel can be handed.
template <int N>
struct PlaceWalk {
  int32_t ndim = 0;
  bool small = true;  // positions fit FastDivisor
  int64_t total = 1;
  FastDivisor fast[kMaxDims];
  int64_t sizes[kMaxDims];
  int64_t strides[N][kMaxDims];

  bool add(int64_t size, const int64_t (&steps)[N]) {
    total *= size;
    if (size == 1) return true;
    bool joins = ndim > 0;
    for (int k = 0; k < N && joins; ++k) joins = steps[k] == sizes[ndim - 1] * strides[k][ndim - 1];
    if (joins) {
      sizes[ndim - 1] *= size;
      return true;
    }
    if (ndim == kMaxDims) return false;
    sizes[ndim] = size;
    for (int k = 0; k < N; ++k) strides[k][ndim] = steps[k];
    ++ndim;
    return true;
  }
  // After the last add().
  void settle() {
    small = total <= kMaxOffset;
    for (int d = 0; d < ndim && small; ++d) fast[d] = FastDivisor(static_cast<uint32_t>(sizes[d]));
  }
  ATLED_FN void locate(int64_t i, int64_t (&offsets)[N]) const {
    for (int k = 0; k < N; ++k) offsets[k] = 0;
#if defined(__CUDA_ARCH__)
#pragma unroll 1
#endif
    for (int d = 0; d < ndim; ++d) {
      int64_t rest = 0;
      if (d + 1 < ndim) rest = small ? fast[d].quotient(static_cast<uint32_t>(i)) : i / sizes[d];
      const int64_t index = i - rest * sizes[d];
      for (int k = 0; k < N; ++k) offsets[k] += index * strides[k][d];
      i = rest;
    }
  }
};

// The widest unit of 1, 2, 4, 8 or 16 bytes, at least `item`, in which the innermost dimension of operands 0 and 1 can
// be moved; `alignment` has a bit set wherever an address or another offset in bytes has one. Operands from 2 on must
// stand still. The walk is changed accordingly.
template <int N>
int widen(PlaceWalk<N>& walk, int item, uint64_t alignment) {
  if (walk.ndim == 0 || walk.strides[0][0] != item || walk.strides[1][0] != item) return item;
  for (int k = 2; k < N; ++k)
    if (walk.strides[k][0] != 0) return item;
  for (int d = 1; d < walk.ndim; ++d)
    alignment |= static_cast<uint64_t>(walk.strides[0][d]) | static_cast<uint64_t>(walk.strides[1][d]);
  const int64_t run = walk.sizes[0] * item;
  alignment |= static_cast<uint64_t>(run);
  int unit = 16;
  while (unit > item && alignment % static_cast<uint64_t>(unit) != 0) unit /= 2;
  walk.total = walk.total / walk.sizes[0] * (run / unit);
  walk.sizes[0] = run / unit;
  walk.strides[0][0] = walk.strides[1][0] = unit;
  walk.settle();
  return unit;
}

}  // namespace atled::core::cuda
