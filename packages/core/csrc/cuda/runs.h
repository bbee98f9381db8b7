// Runs of equal rows that stand one behind another: what unique_… answers from.
#pragma once

#include "cuda/elementwise.cuh"

namespace atled::core::cuda {

// n rows of `width` elements of a dtype, side by side; complex numbers are rows of two real ones.
struct Rows {
  Tensor owner;
  int dtype;
  int64_t n, width;
};
// A contiguous tensor's elements, or its slices along the first dimension.
Rows rows_of(const Tensor& whole, int64_t n);

// The rows' places in lexicographic order (int64); equal ones keep theirs.
Tensor lexicographic_order(const Rows& rows);

// Rows are visited in an order, or as they lie where that is empty; a row with a NaN is a run of its own.
class Runs {
 public:
  Runs(const Rows& rows, const Tensor& order);
  int64_t count() const { return count_; }
  Tensor firsts() const;  // where the first row of each run lies
  Tensor counts() const;
  void number_rows(const atled_tensor* out) const;  // out[row] = which run it is in
  // The first element of each run, of elements in the order of the visit, or as they lie where `ordered` is false.
  Tensor taken(const Tensor& elements, bool ordered) const;

 private:
  int64_t n_, count_ = 0;
  DLDevice device_;
  Tensor order_;
  Tensor numbers_;  // the run of each place of the order, from 1
  Tensor starts_;   // where each run starts in the order, and n at the end
};

}  // namespace atled::core::cuda
