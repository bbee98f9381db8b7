// Loops over float16 and bfloat16 that convert in registers rather than by way of blocks of floats.
#pragma once

#include "cpu/kernels.h"

namespace atled::core {

namespace halves {
#define ATLED_LEVEL_BODY "cpu/halves.inl"
#include "cpu/each_level.inl"
}  // namespace halves

// The table with loops of F, computed in float, for both.
template <class F>
LoopTable with_halves(LoopTable table) {
  table[ATLED_FLOAT16] = ATLED_PICK_OF(halves, unary<Half, F>);
  table[ATLED_BFLOAT16] = ATLED_PICK_OF(halves, unary<BFloat16, F>);
  return table;
}

// to[i] = f(to[i], from[i]), where the two are apart or the same.
template <class T, class F>
void combine_row(T* to, const T* from, int64_t n) {
  char* const data[] = {reinterpret_cast<char*>(to), reinterpret_cast<char*>(to),
                        const_cast<char*>(reinterpret_cast<const char*>(from))};
  const int64_t strides[] = {sizeof(T), sizeof(T), sizeof(T)};
  ATLED_PICK_OF(halves, binary<T, T, T, F>)(nullptr, data, strides, n);
}

}  // namespace atled::core
