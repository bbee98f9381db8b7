// Stable sorts of many unsigned keys, by CUB, which is heavy to compile: what is sorted is brought into these few
// types.
#pragma once

#include "cuda/runtime.h"

namespace atled::core::cuda {

// So many elements at most, for places are 32-bit numbers; NotImplementedOpError beyond.
constexpr int64_t kMostSorted = INT64_C(0xffffffff);
void expect_sortable(int64_t n);

// How many bits numbers in [0, limit) take.
inline int bits_below(uint64_t limit) {
  int bits = 0;
  while (bits < 64 && limit > 0 && (limit - 1) >> bits) ++bits;
  return bits;
}

// Ascending by the lowest `bits` bits of the keys, with values that go along; equal keys keep their order. From one
// memory to another, of the current device, on its current stream.
void sort_pairs(const uint32_t* keys, uint32_t* sorted, const uint32_t* values, uint32_t* moved, int64_t n, int bits,
                DLDevice device);
void sort_pairs(const uint64_t* keys, uint64_t* sorted, const uint32_t* values, uint32_t* moved, int64_t n, int bits,
                DLDevice device);
void sort_keys(const uint32_t* keys, uint32_t* sorted, int64_t n, int bits, DLDevice device);
void sort_keys(const uint64_t* keys, uint64_t* sorted, int64_t n, int bits, DLDevice device);

// keys in [0, key_limit) in ascending order, and at which positions they were; either result may be NULL.
void sort_positions(const int64_t* keys, int64_t n, int64_t key_limit, int64_t* sorted_keys, int64_t* positions,
                    DLDevice device);

}  // namespace atled::core::cuda
