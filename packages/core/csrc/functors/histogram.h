// Which bin a number falls into.
#pragma once

#include <cstdint>

#include "functors/inline.h"

namespace atled::core {

// Rising edges of bins that lie side by side; a bin holds its left edge, and the last its right one too.
struct BinEdges {
  const double* edges;
  int64_t bins;
  double scale;  // bins by length
  bool even;

  BinEdges(const double* edges, int64_t bins, double first, double last, bool even)
      : edges(edges), bins(bins), scale(static_cast<double>(bins) / (last - first)), even(even) {}

  // -1 outside, and for NaN.
  ATLED_FN int64_t find(double x) const {
    if (!(x >= edges[0] && x <= edges[bins])) return -1;
    if (x == edges[bins]) return bins - 1;
    if (!even) {
      int64_t low = 0, high = bins;  // edges[low] <= x < edges[high]
      while (low + 1 < high) {
        const int64_t middle = low + (high - low) / 2;
        if (x < edges[middle])
          high = middle;
        else
          low = middle;
      }
      return low;
    }
    // Rounding may lead to a neighbour.
    int64_t bin = static_cast<int64_t>((x - edges[0]) * scale);
    if (bin > bins - 1) bin = bins - 1;
    while (bin > 0 && x < edges[bin]) --bin;
    while (bin + 1 < bins && x >= edges[bin + 1]) ++bin;
    return bin;
  }
};

}  // namespace atled::core
