// Copies of many short rows in one call: a call for each would take longer than its elements.
#pragma once

#include <cstdint>
#include <cstring>

namespace atled::core {

// Rows of n > 0 elements of `item` bytes, side by side, the next one to_step bytes further, from elements `stride`
// bytes apart, or one that is repeated (0), the next row's `step` bytes further.
void copy_rows(char* to, int64_t to_step, const char* from, int64_t stride, int64_t step, int64_t n, int64_t rows,
               int item);

// memcpy of few bytes without a call, in pieces of which the last ends where the bytes do.
inline void copy_few(void* to, const void* from, int64_t bytes) {
  constexpr int64_t kMost = 256;
  char* out = static_cast<char*>(to);
  const char* in = static_cast<const char*>(from);
  if (bytes >= 16 && bytes <= kMost) {
    for (int64_t i = 0; i + 16 < bytes; i += 16) std::memcpy(out + i, in + i, 16);
    std::memcpy(out + bytes - 16, in + bytes - 16, 16);
  } else if (bytes >= 8 && bytes < 16) {
    std::memcpy(out, in, 8);
    std::memcpy(out + bytes - 8, in + bytes - 8, 8);
  } else {
    std::memcpy(out, in, static_cast<size_t>(bytes));
  }
}

}  // namespace atled::core
