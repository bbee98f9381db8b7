// Advanced indexing, planned once for reading and writing: where index tensors and masks point into a strided tensor.
#pragma once

#include <cstdint>
#include <vector>

#include "atled/plugin.hpp"
#include "ops/layout.h"

namespace atled::core {

// Indices of any integer dtype as contiguous int64, all of them checked: BoundsError with the dimension and the value
// when one is outside [-n, n). Negative ones stay negative; whether there are any is told on request.
Tensor checked_indices(atled_tensor* index, int64_t n, int dim, bool* negative = nullptr);

// The lowest and the highest of n > 0 indices, one pass in vectors.
struct IndexRange {
  IndexRange(const int64_t* index, int64_t n);
  bool within(int64_t n) const { return low >= -n && high < n; }
  int64_t low, high;
};

// The element offsets of the true places of a mask, laid over dimensions of the given strides; with strides of none,
// the places are numbered.
Tensor true_offsets(atled_tensor* mask, const int64_t* strides);

// t[indices]: an entry is an index tensor (a mask of k dimensions stands for k entries) or NULL for a whole dimension;
// the dimensions without an entry are whole. All bounds are checked here. Results are placed as NumPy does it: where
// the first index stood if the index tensors stand side by side, else in front.
class Indexed {
 public:
  Indexed(const atled_tensor* t, atled_tensor* const* indices, uint32_t count);

  // What t[indices] looks like; layout.strides say nothing.
  const Layout& result() const { return result_; }
  int64_t result_size() const { return blocks_ * points_ * rows_ * run_; }

  // out: contiguous, of the result's shape and t's dtype.
  void read(void* out) const;
  // values: as `out` for read, or one element for all places when `single`. Where an element is named twice, the last
  // value stays.
  void write(const void* values, bool single) const;
  // Adds instead, every time an element is named.
  void add(const void* values, bool single) const;

 private:
  struct Entry {
    int64_t size, stride;
    Tensor index;         // int64, bounds checked
    bool places = false;  // of a mask, or the like: element offsets that are ready to use
    bool unique = false;  // no place is named twice
  };
  void collect(const atled_tensor* t, atled_tensor* const* indices, uint32_t count, std::vector<Entry>& entries);
  void place(const std::vector<Entry>& entries, const int64_t* shape, int ndim);
  void find_offsets(std::vector<Entry>& entries, const int64_t* shape, int ndim);
  template <class F>
  void each_row(int64_t begin, int64_t end, F&& f) const;
  template <class F>
  void each_span(int64_t begin, int64_t end, F&& f) const;
  template <class F>
  void each_disjoint(bool any_order, F&& f) const;

  char* data_;
  int dtype_;
  Layout result_;
  bool unique_ = false;  // no element is named twice
  // The result is blocks x points x rows x run elements: whole dimensions before the index, the index, whole ones
  // after.
  int64_t blocks_ = 1, points_ = 1, rows_ = 1, run_ = 1, run_stride_ = 1;
  std::vector<int64_t> block_offsets_, row_offsets_;
  Tensor point_offsets_;
};

}  // namespace atled::core
