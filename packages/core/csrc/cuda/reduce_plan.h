// How a reduction is laid out over a device's threads. Depends on shapes and strides alone, so that results are the
// same at every run and on every device; compiled for the host too.
//
// A block has 256 threads: `lanes` of them share each of 256 / lanes outputs. Elements of an output that lie side by
// side are read by neighbouring lanes ("rows"); else neighbouring threads take neighbouring outputs ("columns"). A long
// output is shared out among `chunks` blocks, the last of which combines what all have found, in order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/geometry.h"

namespace atled::core::cuda {

constexpr int kReduceThreads = 256;
constexpr int kReduceDims = 64;

// Dimensions that are all reduced, or all kept, from the one with the smallest stride on.
struct ReduceDims {
  int n = 0;
  bool small = true;  // indices and sizes fit FastDivisor
  int64_t size[kReduceDims];
  int64_t in[kReduceDims];   // bytes
  int64_t out[kReduceDims];  // elements; 0 where reduced

  void add(int64_t s, int64_t i, int64_t o) {
    if (s == 1) return;
    int k = n++;
    for (; k > 0 && magnitude(in[k - 1]) > magnitude(i); --k) move(k - 1, k);
    size[k] = s;
    in[k] = i;
    out[k] = o;
  }
  // The order of dimensions as given, innermost first, which counts where an element's index does.
  void append(int64_t s, int64_t i, int64_t o) {
    if (s == 1) return;
    size[n] = s;
    in[n] = i;
    out[n++] = o;
  }
  void join() {
    int last = 0;
    for (int k = 1; k < n; ++k) {
      if (in[k] == in[last] * size[last] && out[k] == out[last] * size[last]) {
        size[last] *= size[k];
      } else {
        move(k, ++last);
      }
    }
    if (n > 0) n = last + 1;
    small = total() <= kMaxOffset;
  }
  int64_t total() const {
    int64_t product = 1;
    for (int k = 0; k < n; ++k) product *= size[k];
    return product;
  }

 private:
  static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }
  void move(int from, int to) {
    size[to] = size[from];
    in[to] = in[from];
    out[to] = out[from];
  }
};

// The same for a kernel, which is handed as many dimensions as fit; a tensor that needs more is made contiguous first.
struct ReduceOffsets {
  int32_t n = 0;
  bool small = true;
  FastDivisor fast[kMaxDims];
  int64_t size[kMaxDims], in[kMaxDims], out[kMaxDims];

  ReduceOffsets() = default;
  explicit ReduceOffsets(const ReduceDims& dims) : n(dims.n), small(dims.small) {
    for (int k = 0; k < n; ++k) {
      if (small && dims.size[k] > 0) fast[k] = FastDivisor(static_cast<uint32_t>(dims.size[k]));
      size[k] = dims.size[k];
      in[k] = dims.in[k];
      out[k] = dims.out[k];
    }
  }
  template <bool kSmall>
  ATLED_FN int64_t offset(int64_t index) const {
    int64_t bytes = 0;
    ATLED_ROLLED
    for (int k = 0; k + 1 < n; ++k) bytes += split<kSmall>(k, index) * in[k];
    return n > 0 ? bytes + index * in[n - 1] : 0;
  }
  ATLED_FN void locate(int64_t index, int64_t& in_bytes, int64_t& out_elements) const {
    in_bytes = out_elements = 0;
    ATLED_ROLLED
    for (int k = 0; k < n; ++k) {
      const int64_t i = k + 1 == n ? index : small ? split<true>(k, index) : split<false>(k, index);
      in_bytes += i * in[k];
      out_elements += i * out[k];
    }
  }

 private:
  // The place in dimension k; `index` becomes that in the dimensions further out.
  template <bool kSmall>
  ATLED_FN int64_t split(int k, int64_t& index) const {
    const int64_t rest = kSmall ? fast[k].quotient(static_cast<uint32_t>(index)) : index / size[k];
    const int64_t i = index - rest * size[k];
    index = rest;
    return i;
  }
};

struct ReducePlan {
  int64_t outputs, length;
  bool rows;
  uint32_t lane_bits;    // of the number of lanes, a power of two
  int64_t chunks;        // blocks that share one output
  int64_t chunk_length;  // elements of each but the last

  int64_t outputs_per_block() const { return kReduceThreads >> lane_bits; }
  int64_t output_blocks() const { return (outputs + outputs_per_block() - 1) / outputs_per_block(); }
};

// All of these are constants, not the device's, for the order of additions depends on them.
constexpr int kLaneElements = 16;         // of a lane, at least
constexpr int64_t kChunkBytes = 1 << 14;  // of a row's chunk, at least
constexpr int64_t kChunkRows = 64;        // of a column's
// Blocks beyond which no output is shared out, and how many rows' and columns' become: short rows' blocks in the order
// of memory keep it busier than few long ones; columns write as many partial results as they have outputs.
constexpr int64_t kEnoughBlocks = 2048;
constexpr int64_t kRowBlocks = 4096;
constexpr int64_t kLargeColumns = 1 << 22;  // elements

// How many threads of a block are side by side over columns: where there is work for many blocks, wide enough that they
// read more than one line of each row.
inline int64_t column_width(int64_t outputs, int64_t length) {
  const int64_t widest = length > 0 && outputs >= kLargeColumns / length ? 128 : 32;
  int64_t width = 16;
  while (width < widest && width < outputs) width *= 2;
  return width;
}

// item: bytes of an element.
inline ReducePlan plan_reduction(const ReduceDims& kept, const ReduceDims& gone, int64_t item) {
  auto magnitude = [](int64_t x) { return x < 0 ? -x : x; };
  ReducePlan plan{};
  plan.outputs = kept.total();
  plan.length = gone.total();
  plan.rows = kept.n == 0 || (gone.n > 0 && magnitude(gone.in[0]) <= magnitude(kept.in[0]));
  const int64_t most = plan.rows ? kReduceThreads : kReduceThreads / column_width(plan.outputs, plan.length);
  while ((1 << plan.lane_bits) < most && (kLaneElements << plan.lane_bits) < plan.length) ++plan.lane_bits;
  plan.chunks = 1;
  const int64_t blocks = plan.output_blocks();
  if (blocks > 0 && blocks < kEnoughBlocks) {
    const int64_t least = plan.rows ? kChunkBytes / item : kChunkRows;
    const int64_t wanted = (plan.rows ? kRowBlocks : kEnoughBlocks) / blocks;
    plan.chunks = std::max<int64_t>(1, std::min(wanted, plan.length / least));
  }
  // Whole vectors of any dtype.
  plan.chunk_length = ((plan.length + plan.chunks - 1) / plan.chunks + 15) / 16 * 16;
  if (plan.chunk_length > 0) plan.chunks = (plan.length + plan.chunk_length - 1) / plan.chunk_length;
  plan.chunks = std::max<int64_t>(1, plan.chunks);
  return plan;
}

// Whether every 16 bytes of what is reduced lie side by side, whole and aligned.
inline bool in_vectors(const ReduceDims& kept, const ReduceDims& gone, int64_t item, uintptr_t address) {
  if (gone.n == 0 || gone.in[0] != item || address % 16 != 0 || gone.size[0] * item % 16 != 0) return false;
  for (int k = 1; k < gone.n; ++k)
    if (gone.in[k] % 16 != 0) return false;
  for (int k = 0; k < kept.n; ++k)
    if (kept.in[k] % 16 != 0) return false;
  return true;
}

}  // namespace atled::core::cuda
