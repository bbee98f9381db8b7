// Where the elements of a device kernel's operands lie: plain functions of shapes and strides, compiled for the host
// too, where tests compare them with brute force.
#pragma once

#include <cstdint>

#include "atled/divisor.h"
#include "functors/inline.h"

namespace atled::core::cuda {

using atled::FastDivisor;

constexpr int kMaxOperands = 4;
constexpr int kMaxDims = 12;  // that one launch walks; a tensor with more is taken apart along its outermost ones
constexpr int kMaxHostDims = 64;
constexpr int64_t kMaxOffset = INT64_C(0x7fffffff);

// A walk over operands that broadcast together. Dimensions run from the innermost on; strides are in bytes.
struct Walk {
  int operands = 0, ndim = 0;
  int64_t sizes[kMaxHostDims];
  int64_t strides[kMaxOperands][kMaxHostDims];
  int64_t starts[kMaxOperands] = {};  // bytes from each operand's data

  int64_t total() const {
    int64_t product = 1;
    for (int d = 0; d < ndim; ++d) product *= sizes[d];
    return product;
  }

  // Drops dimensions of one element, puts those with the smallest strides first and joins what is evenly spaced.
  void simplify() {
    int kept = 0;
    for (int d = 0; d < ndim; ++d)
      if (sizes[d] != 1) move(d, kept++);
    ndim = kept;
    for (int i = 1; i < ndim; ++i)
      for (int j = i; j > 0 && inside(j, j - 1); --j) exchange(j, j - 1);
    if (ndim == 0) return;
    int last = 0;
    for (int d = 1; d < ndim; ++d) {
      bool joins = true;
      for (int k = 0; k < operands && joins; ++k) joins = strides[k][d] == strides[k][last] * sizes[last];
      if (joins) {
        sizes[last] *= sizes[d];
      } else {
        move(d, ++last);
      }
    }
    ndim = last + 1;
  }

  // Whether an operand's elements lie side by side in the walk's order. For simplified walks.
  bool dense(int operand, int64_t item) const { return ndim == 0 || (ndim == 1 && strides[operand][0] == item); }

  // Makes one of every `many` neighbours along the innermost dimension, where each operand, whose elements are of
  // `items` bytes, has them side by side and aligned, or the same for all. Returns a bit for each operand that has them
  // side by side; 0 where this cannot be done.
  uint32_t group(int many, const int64_t* items, char* const* data) {
    if (many == 1 || ndim == 0 || sizes[0] % many != 0) return 0;
    uint32_t sides = 0;
    for (int k = 0; k < operands; ++k) {
      if (strides[k][0] == 0 && k > 0) continue;
      const int64_t width = many * items[k];
      if (strides[k][0] != items[k] || reinterpret_cast<uintptr_t>(data[k]) % static_cast<uintptr_t>(width) != 0)
        return 0;
      for (int d = 1; d < ndim; ++d)
        if (strides[k][d] % width != 0) return 0;
      sides |= uint32_t{1} << k;
    }
    sizes[0] /= many;
    for (int k = 0; k < operands; ++k) strides[k][0] *= many;
    return sides;
  }

  // Whether one launch can address everything with signed 32-bit offsets.
  bool fits(int64_t limit = kMaxOffset) const {
    if (ndim > kMaxDims || total() > limit) return false;
    for (int k = 0; k < operands; ++k) {
      int64_t low = 0, high = 0;
      for (int d = 0; d < ndim; ++d) (strides[k][d] < 0 ? low : high) += strides[k][d] * (sizes[d] - 1);
      if (high > limit || low < -limit) return false;
    }
    return true;
  }

  // Calls f(piece) for parts that fit, which cover everything once.
  template <class F>
  void each_piece(F&& f, int64_t limit = kMaxOffset) const {
    if (fits(limit)) return f(*this);
    // The dimension whose halves are the smallest next to the whole: the one that reaches farthest.
    int cut = ndim - 1;
    if (ndim <= kMaxDims) {
      int64_t farthest = -1;
      for (int d = 0; d < ndim; ++d)
        for (int k = 0; k < operands; ++k) {
          const int64_t reach = magnitude(strides[k][d]) * (sizes[d] - 1);
          if (reach > farthest) {
            farthest = reach;
            cut = d;
          }
        }
    }
    const int64_t half = ndim > kMaxDims ? 1 : sizes[cut] / 2;
    for (int64_t from = 0; from < sizes[cut]; from += half) {
      Walk part = *this;
      part.sizes[cut] = sizes[cut] - from < half ? sizes[cut] - from : half;
      for (int k = 0; k < operands; ++k) part.starts[k] += from * strides[k][cut];
      if (part.sizes[cut] == 1) part.drop(cut);
      part.each_piece(f, limit);
    }
  }

 private:
  static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }
  void move(int from, int to) {
    sizes[to] = sizes[from];
    for (int k = 0; k < operands; ++k) strides[k][to] = strides[k][from];
  }
  void drop(int d) {
    for (; d + 1 < ndim; ++d) move(d + 1, d);
    --ndim;
  }
  template <class T>
  static void swap(T& a, T& b) {
    const T kept = a;
    a = b;
    b = kept;
  }
  void exchange(int a, int b) {
    swap(sizes[a], sizes[b]);
    for (int k = 0; k < operands; ++k) swap(strides[k][a], strides[k][b]);
  }
  // The first operand that tells two dimensions apart decides: the output, whose writes then lie side by side.
  bool inside(int a, int b) const {
    for (int k = 0; k < operands; ++k) {
      const int64_t sa = magnitude(strides[k][a]), sb = magnitude(strides[k][b]);
      if (sa != 0 && sb != 0 && sa != sb) return sa < sb;
    }
    return false;
  }
};

// What a kernel gets of a walk that fits.
template <int N>
struct Offsets {
  uint32_t total;
  int32_t ndim;
  FastDivisor sizes[kMaxDims];
  int32_t strides[N][kMaxDims];

  explicit Offsets(const Walk& walk) : total(static_cast<uint32_t>(walk.total())), ndim(walk.ndim) {
    for (int d = 0; d < ndim; ++d) {
      sizes[d] = FastDivisor(static_cast<uint32_t>(walk.sizes[d]));
      for (int k = 0; k < N; ++k) strides[k][d] = static_cast<int32_t>(walk.strides[k][d]);
    }
  }
  // The bytes from each operand's start to its element i.
  ATLED_FN void locate(uint32_t i, int32_t (&offsets)[N]) const {
    for (int k = 0; k < N; ++k) offsets[k] = 0;
    for (int d = 0; d < ndim; ++d) {
      const uint32_t rest = d + 1 < ndim ? sizes[d].quotient(i) : 0;
      const int32_t index = static_cast<int32_t>(i - rest * sizes[d].divisor);
      for (int k = 0; k < N; ++k) offsets[k] += index * strides[k][d];
      i = rest;
    }
  }
};

}  // namespace atled::core::cuda
