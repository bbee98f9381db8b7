// Turning small matrices in the cache, so that loops along what was a column read memory in order.
#pragma once

#include <cstdint>

namespace atled::core {

// out[i][j] = in[j][i] for i < rows, j < columns. Elements of `item` bytes lie side by side in the rows of both, which
// are in_step and out_step bytes apart. The two do not overlap.
void transpose(char* out, int64_t out_step, const char* in, int64_t in_step, int64_t rows, int64_t columns, int item);

}  // namespace atled::core
