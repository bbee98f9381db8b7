// Counting the elements of triangles.
#pragma once

#include <cstdint>

#include "functors/inline.h"

namespace atled::core {

ATLED_FN int64_t clamped(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

// The sum over i in [0, rows) of i + shift, each clamped to [0, columns].
ATLED_FN int64_t ramp(int64_t rows, int64_t columns, int64_t shift) {
  const int64_t begin = clamped(-shift, 0, rows), end = clamped(columns - shift, begin, rows);
  const int64_t n = end - begin, first = begin + shift, last = end - 1 + shift;
  const int64_t rising = (first + last) % 2 == 0 ? n * ((first + last) / 2) : n / 2 * (first + last);
  return rising + (rows - end) * columns;
}

}  // namespace atled::core
