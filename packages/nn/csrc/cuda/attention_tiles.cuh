// What attention's kernels share: tiles in shared memory, and products of a warp's 16 rows with them. W is the width of
// a tile, 64 or 128: that of a head, with zeros behind its own features.
#pragma once

#include "cuda/attention_plan.h"
#include "cuda/kernel.cuh"
#include "cuda/tensor_cores.cuh"

namespace atled::nn {

constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

// What is added to scores: element (batch, head, query, key) is so many elements from the first. NULL for nothing.
struct ScoreBias {
  const float* data;
  int64_t batch, head, query, key;
};

struct Fragment {
  uint32_t r[4];
};

// Begins to copy rows [first, first + R) of a head, as far as there are any, into a tile.
template <class T, int W, int R, int Threads>
static __device__ __forceinline__ void copy_tile(T* tile, const T* head, int64_t step, int first, int rows, int size) {
  constexpr int kPieces = W / kPiece;
#pragma unroll
  for (int n = 0; n < R * kPieces / Threads; ++n) {
    const int i = static_cast<int>(threadIdx.x) + n * Threads, row = i / kPieces, piece = i % kPieces;
    const bool there = first + row < rows && piece * kPiece < size;
    const T* from = there ? head + (first + row) * step + piece * kPiece : head;
    copy_later(tile + tile_offset(row, piece, W), from, there);
  }
}

// A warp's 16 rows of a head from `first` on as factors on the left, straight from global memory.
template <class T, int W>
static __device__ __forceinline__ void load_rows(Fragment (&a)[W / 16], const T* head, int64_t step, int first,
                                                 int rows, int size) {
  const int lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll
  for (int k = 0; k < W / 16; ++k)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = first + lane / 4 + i % 2 * 8, column = k * 16 + i / 2 * 8 + lane % 4 * 2;
      a[k].r[i] = row < rows && column < size ? *reinterpret_cast<const uint32_t*>(head + row * step + column) : 0;
    }
}

// The same of a tile in shared memory, 16 columns of it.
template <class T, int W>
static __device__ __forceinline__ Fragment rows_of_tile(const T* tile, int first, int k) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  Fragment a;
  load_matrices(a.r, tile + tile_offset(first + lane % 16, 2 * k + lane / 16, W));
  return a;
}

// c += a times the transpose of a tile's N rows; a(k) answers 16 of the W columns.
template <class T, int W, int N, class A>
static __device__ __forceinline__ void times_rows(float (&c)[N / 8][4], A&& a, const T* tile) {
  const int lane = static_cast<int>(threadIdx.x % 32), matrix = lane / 8;
#pragma unroll
  for (int k = 0; k < W / 16; ++k) {
    const Fragment left = a(k);
#pragma unroll
    for (int n = 0; n < N / 16; ++n) {
      uint32_t b[4];
      load_matrices(b, tile + tile_offset(n * 16 + matrix / 2 * 8 + lane % 8, 2 * k + matrix % 2, W));
      multiply_add<T>(c[2 * n], left.r, b[0], b[1]);
      multiply_add<T>(c[2 * n + 1], left.r, b[2], b[3]);
    }
  }
}

// c += p, rounded, times a tile of N rows.
template <class T, int W, int N>
static __device__ __forceinline__ void times_tile(float (&c)[W / 8][4], const float (&p)[N / 8][4], const T* tile) {
  const int lane = static_cast<int>(threadIdx.x % 32), matrix = lane / 8;
#pragma unroll
  for (int k = 0; k < N / 16; ++k) {
    const Fragment left{{packed<T>(p[2 * k][0], p[2 * k][1]), packed<T>(p[2 * k][2], p[2 * k][3]),
                         packed<T>(p[2 * k + 1][0], p[2 * k + 1][1]), packed<T>(p[2 * k + 1][2], p[2 * k + 1][3])}};
#pragma unroll
    for (int n = 0; n < W / 16; ++n) {
      uint32_t b[4];
      load_transposed(b, tile + tile_offset(k * 16 + matrix % 2 * 8 + lane % 8, 2 * n + matrix / 2, W));
      multiply_add<T>(c[2 * n], left.r, b[0], b[1]);
      multiply_add<T>(c[2 * n + 1], left.r, b[2], b[3]);
    }
  }
}

// A lane's two rows of the 16, and its first column of each 8.
static __device__ __forceinline__ int lane_row(int half) { return static_cast<int>(threadIdx.x % 32) / 4 + half * 8; }
static __device__ __forceinline__ int lane_column() { return static_cast<int>(threadIdx.x % 4) * 2; }

// Calls f(elements..., half, column) for what a lane has of N columns: element i of group n is in row lane_row(half).
template <int N, class F, class... C>
static __device__ __forceinline__ void each_element(F&& f, C (&... c)[N / 8][4]) {
#pragma unroll
  for (int n = 0; n < N / 8; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) f(c[n][i]..., i / 2, n * 8 + lane_column() + i % 2);
}

// Adds to scores of queries from `first` on, which are powers of two's, as far as the lane's rows see columns, up to
// `last`.
template <int N>
static __device__ __forceinline__ void add_bias(float (&scores)[N / 8][4], const float* head, const ScoreBias& bias,
                                                const AttentionPlan& plan, int first, int from, const int (&last)[2]) {
  const float* rows[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = first + lane_row(half);
    rows[half] = head + (row < plan.length ? row : plan.length - 1) * bias.query;
  }
  each_element<N>(
      [&](float& x, int half, int column) {
        if (column <= last[half]) x += rows[half][(from + column) * bias.key] * kLog2E;
      },
      scores);
}

// Writes a warp's rows, times factor(half), as rows `first` on of `rows` rows of `size`.
template <class T, int W, class F>
static __device__ __forceinline__ void store_rows(T* head, const float (&c)[W / 8][4], int first, int rows, int size,
                                                  F&& factor) {
#pragma unroll
  for (int n = 0; n < W / 8; ++n)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first + lane_row(half), column = n * 8 + lane_column();
      const float by = factor(half);
      if (row >= rows || column >= size) continue;
      T* at = head + static_cast<int64_t>(row) * size + column;
      const float x = c[n][2 * half] * by, y = c[n][2 * half + 1] * by;
      if constexpr (std::is_same_v<T, float>)
        store(at, Vector<float, 2>{x, y});
      else
        *reinterpret_cast<uint32_t*>(at) = packed<T>(x, y);
    }
}

}  // namespace atled::nn
