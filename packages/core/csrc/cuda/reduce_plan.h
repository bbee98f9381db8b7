// How a reduction is laid out over a device's threads. Depends on shapes and strides alone, so that results are the
// same at every run and on every device; compiled for the host too.
//
// A block has 256 threads: `lanes` of them share each of 256 / lanes outputs. Elements of an output that lie side by
// side are read by neighbouring lanes ("rows"); else neighbouring threads take neighbouring outputs ("columns"). A long
// output is shared out among `chunks` blocks, whose results a second launch combines in order.
#pragma once

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
  ATLED_FN int64_t offset(int64_t index) const {
    int64_t bytes = 0;
    for (int k = 0; k + 1 < n; ++k) {
      const int64_t rest = small ? fast[k].quotient(static_cast<uint32_t>(index)) : index / size[k];
      bytes += (index - rest * size[k]) * in[k];
      index = rest;
    }
    return n > 0 ? bytes + index * in[n - 1] : 0;
  }
  ATLED_FN void locate(int64_t index, int64_t& in_bytes, int64_t& out_elements) const {
    in_bytes = out_elements = 0;
    for (int k = 0; k < n; ++k) {
      int64_t rest = 0;
      if (k + 1 < n) rest = small ? fast[k].quotient(static_cast<uint32_t>(index)) : index / size[k];
      const int64_t i = index - rest * size[k];
      in_bytes += i * in[k];
      out_elements += i * out[k];
      index = rest;
    }
  }
};

struct ReducePlan {
  int64_t outputs, length;
  bool rows;
  int lanes;             // a power of two, at most kReduceThreads
  int64_t chunks;        // blocks that share one output
  int64_t chunk_length;  // elements of each but the last

  int outputs_per_block() const { return kReduceThreads / lanes; }
  int64_t output_blocks() const { return (outputs + outputs_per_block() - 1) / outputs_per_block(); }
};

// Work of one chunk at least, and blocks beyond which no output is shared out: both constants, not the device's, for
// the order of additions depends on them.
constexpr int64_t kChunkElements = 16384;
constexpr int64_t kEnoughBlocks = 2048;
constexpr int64_t kMostChunks = 2048;
constexpr int kLaneElements = 16;  // of a row, at least

inline ReducePlan plan_reduction(const ReduceDims& kept, const ReduceDims& gone) {
  auto magnitude = [](int64_t x) { return x < 0 ? -x : x; };
  ReducePlan plan{};
  plan.outputs = kept.total();
  plan.length = gone.total();
  plan.rows = kept.n == 0 || (gone.n > 0 && magnitude(gone.in[0]) <= magnitude(kept.in[0]));
  // Columns leave a warp's width of outputs side by side.
  const int most = plan.rows ? kReduceThreads : kReduceThreads / 32;
  plan.lanes = 1;
  while (plan.lanes < most && plan.lanes * kLaneElements < plan.length) plan.lanes *= 2;
  plan.chunks = 1;
  const int64_t blocks = plan.output_blocks();
  // In columns, a block's chunk is as long for each of its many outputs.
  const int64_t least = plan.rows ? kChunkElements : kChunkElements / 32;
  if (blocks < kEnoughBlocks && plan.length >= 2 * least) {
    int64_t wanted = kEnoughBlocks / (blocks < 1 ? 1 : blocks);
    if (wanted > plan.length / least) wanted = plan.length / least;
    if (wanted > kMostChunks) wanted = kMostChunks;
    plan.chunks = wanted < 1 ? 1 : wanted;
  }
  // Whole vectors of any dtype.
  plan.chunk_length = ((plan.length + plan.chunks - 1) / plan.chunks + 15) / 16 * 16;
  if (plan.chunk_length > 0) plan.chunks = (plan.length + plan.chunk_length - 1) / plan.chunk_length;
  if (plan.chunks < 1) plan.chunks = 1;
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
