// Elements of a tensor that indices name, planned once for reading and writing.
#pragma once

#include <cstdint>
#include <vector>

#include "atled/plugin.hpp"
#include "ops/layout.h"

namespace atled::core::cuda {

constexpr int kMostIndices = 16;

enum class Combine { kSum, kProduct, kLargest, kSmallest };

// Points in the order of the places that they name, and, where these are the same, in their own.
struct SortedPoints {
  Tensor slots;   // uint32, or uint64 where there are so many; Places' number of slots stands for none
  Tensor points;  // uint32
};

class Places {
 public:
  // t[indices], as the CPU's Indexed has it: an entry is an index tensor (a mask of k dimensions stands for k entries)
  // or NULL for a whole dimension. Results are placed as NumPy does it.
  Places(const atled_tensor* t, atled_tensor* const* indices, uint32_t count);
  // t along `dim` at index, and where index itself is in the other dimensions. For reading alone, points need no order.
  Places(const atled_tensor* t, int dim, const atled_tensor* index, bool ordered);

  // What is read or written looks like this; layout.strides say nothing.
  Layout result() const;

  // out: the result's shape, t's dtype, any strides.
  void read(const atled_tensor* out) const;
  // values: t's dtype, at least the result's size in each dimension (along dim) or what broadcasts to it. Where an
  // element is named twice, the last value stays.
  void write(const atled_tensor* values) const;
  // Combines instead, every time an element is named; floating-point numbers to the same bits every time.
  void combine(const atled_tensor* values, Combine how) const;

 private:
  struct Dim {
    int64_t size, stride;  // of t, in bytes
    int64_t point;         // elements of the index tensors
    int64_t slot;          // see Index::slot
    bool indexed;
  };
  struct Index {
    Tensor tensor;  // int64 or int32
    int64_t size, stride;
    int64_t slot;  // what one more means in the numbering of all places that could be named
    int dim;
  };

  void append(const atled_tensor* index, int64_t size, int64_t stride, int dim, bool as_it_is = false);
  void append_mask(atled_tensor* mask, int dim);
  void number();
  bool nothing_to_do() const;
  SortedPoints sort() const;
  void combine_in_order(const atled_tensor* values, Combine how) const;
  bool combine_in_lines(const atled_tensor* values, Combine how) const;
  bool sum_in_any_order(const atled_tensor* values) const;
  void combine_at_once(const atled_tensor* values, Combine how) const;

  friend class PlaceLaunches;

  Tensor t_;
  std::vector<Dim> dims_;  // of the result
  std::vector<Index> indices_;
  int64_t points_ = 1, slots_ = 1, total_ = 1;
  bool unique_ = false;  // no element is named twice
  int line_ = -1;        // the dimension along which a single index runs from line to line, in gather and the scatters
};

// The true elements of a mask, numbered in order, as int64: waits for the device.
Tensor true_places(const atled_tensor* mask);
// Their coordinates in a tensor of that shape, a row for each.
Tensor coordinates(const Tensor& places, int ndim, const int64_t* shape);
// The op, in one pass.
void unravel_index(atled_frame* frame);

}  // namespace atled::core::cuda
