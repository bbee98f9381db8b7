// Where the windows of pooling lie.
#pragma once

#include "atled/divisor.h"
#include "cuda/kernel.cuh"

namespace atled::nn {

// Windows 0 to count - 1 over elements 0 to size - 1 of a dimension: sliding ones, or, with kernel 0, adaptive ones,
// from floor(i size / count) to ceil((i + 1) size / count).
struct Windows {
  int32_t size, count, kernel, stride, padding, dilation;
  FastDivisor by_size, by_step;  // step: the stride, or count

  static Windows sliding(int64_t size, int64_t count, int64_t kernel, int64_t stride, int64_t padding,
                         int64_t dilation) {
    constexpr int64_t kMost = INT64_C(1) << 29;
    const int64_t spread = kernel == 1 ? 1 : dilation;
    if (std::max({size, count, padding, kernel, spread}) > kMost || (kernel - 1) * spread >= kMost)
      fail(ATLED_E_NOT_IMPLEMENTED, "expected windows and dimensions of at most 2^29 elements");
    return Windows(size, count, kernel, std::min(stride, kMost), padding, spread);
  }
  static Windows adaptive(int64_t size, int64_t count) {
    if (std::max<int64_t>(size, 1) > INT32_MAX / (count + 1))
      fail(ATLED_E_NOT_IMPLEMENTED, "expected dimensions with a product below 2^31, got %lld and %lld",
           static_cast<long long>(size), static_cast<long long>(count));
    return Windows(size, count, 0, 0, 0, 1);
  }

  // ---- on the device ----

  __device__ int32_t start(int32_t i) const {
    return kernel ? i * stride - padding : static_cast<int32_t>(by_step.quotient(static_cast<uint32_t>(i * size)));
  }
  // The elements [begin, end) of a window without gaps.
  __device__ int32_t begin(int32_t i) const { return std::max(start(i), 0); }
  __device__ int32_t end(int32_t i) const {
    if (kernel) return std::min(i * stride - padding + kernel, size);
    return static_cast<int32_t>(by_step.quotient(static_cast<uint32_t>((i + 1) * size + count - 1)));
  }
  // What a window counts as: with padding, but for what reaches past it.
  __device__ int32_t length(int32_t i, bool padded) const {
    if (!kernel || !padded) return end(i) - begin(i);
    return std::min(start(i) + kernel, size + padding) - start(i);
  }
  // The windows [first, last] that may hold element e.
  __device__ int32_t first(int32_t e) const {
    if (!kernel) return static_cast<int32_t>(by_size.quotient(static_cast<uint32_t>(e * count)));
    const int32_t at = e + padding - (kernel - 1) * dilation;
    return at > 0 ? static_cast<int32_t>(by_step.quotient(static_cast<uint32_t>(at + stride - 1))) : 0;
  }
  __device__ int32_t last(int32_t e) const {
    if (!kernel) return static_cast<int32_t>(by_size.quotient(static_cast<uint32_t>((e + 1) * count + size - 1))) - 1;
    return std::min(static_cast<int32_t>(by_step.quotient(static_cast<uint32_t>(e + padding))), count - 1);
  }

 private:
  Windows(int64_t n, int64_t c, int64_t k, int64_t s, int64_t p, int64_t d)
      : size(static_cast<int32_t>(n)),
        count(static_cast<int32_t>(c)),
        kernel(static_cast<int32_t>(k)),
        stride(static_cast<int32_t>(s)),
        padding(static_cast<int32_t>(p)),
        dilation(static_cast<int32_t>(d)),
        by_size(static_cast<uint32_t>(std::max<int64_t>(n, 1))),
        by_step(static_cast<uint32_t>(std::max<int64_t>(k ? s : c, 1))) {}
};

// Planes of rows and columns, and where element i of all lies.
struct Grid {
  FastDivisor rows, columns;
  uint32_t total;

  Grid(int64_t planes, int64_t h, int64_t w)
      : rows(static_cast<uint32_t>(std::max<int64_t>(h, 1))),
        columns(static_cast<uint32_t>(std::max<int64_t>(w, 1))),
        total(static_cast<uint32_t>(planes * h * w)) {}
  __device__ void locate(uint32_t i, uint32_t& plane, int32_t& row, int32_t& column) const {
    const uint32_t line = columns.quotient(i);
    column = static_cast<int32_t>(i - line * columns.divisor);
    plane = rows.quotient(line);
    row = static_cast<int32_t>(line - plane * rows.divisor);
  }
};

// Calls f(first plane, planes) for parts of which no 32-bit number loses count.
template <class F>
void each_part(int64_t planes, int64_t in, int64_t out, F&& f) {
  const int64_t size = std::max({in, out, INT64_C(1)});
  if (size > INT32_MAX) fail(ATLED_E_NOT_IMPLEMENTED, "expected planes of less than 2^31 elements");
  const int64_t most = INT32_MAX / size;
  for (int64_t from = 0; from < planes; from += most) f(from, std::min(most, planes - from));
}

}  // namespace atled::nn
