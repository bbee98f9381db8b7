// Many small real matrices at once, one in each lane of a vector.
#pragma once

#include <cstdint>

#include "cpu/levels.h"
#include "cpu/matrix_batch.h"
#include "cpu/small_matrix.h"

namespace atled::core {

// More than one vector's: loops over fewer are unrolled before they become vectors.
constexpr int kMatrixLanes = 32;

namespace small_lanes {

#define ATLED_LEVEL_BODY "cpu/small_lanes.inl"
#include "cpu/each_level.inl"

}  // namespace small_lanes

// How many of `count` matrices of n rows and m columns to take side by side; 0 where one after another is better.
inline int lanes_for(int n, int64_t m, int64_t count) {
  if (n == 0 || n > kSmallDirect || m > 3 * kSmallDirect || count < 6) return 0;
  return static_cast<int>(std::min<int64_t>(kMatrixLanes, count));
}

// The n x m matrices of one lane each; lanes without one repeat the last.
template <class T>
class Lanes {
 public:
  Lanes(int n, int m) : n_(n), memory_(int64_t{n} * m * kMatrixLanes) {}

  // Columns [first, first + count) of lane l.
  Matrix<T> columns(int l, int first, int count) const {
    return {memory_.get() + int64_t{first} * n_ * kMatrixLanes + l, n_, count, kMatrixLanes,
            int64_t{n_} * kMatrixLanes};
  }
  void eliminate(int m) { ATLED_PICK_OF(small_lanes, eliminate<T>)(memory_.get(), n_, m, sign, info); }
  void substitute(int columns) {
    T* a = memory_.get();
    ATLED_PICK_OF(small_lanes, substitute<T>)(a, n_, a + int64_t{n_} * n_ * kMatrixLanes, columns);
  }

  T sign[kMatrixLanes], info[kMatrixLanes];

 private:
  int n_;
  Scratch<T> memory_;
};

}  // namespace atled::core
