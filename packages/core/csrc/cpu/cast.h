// Conversion between dtypes: strided element loops for every pair.
#pragma once

#include <cstdint>

namespace atled::core {

// out[i] = (to)in[i]; strides in bytes. The two may be the same memory when the item sizes are equal.
using CastLoop = void (*)(char* out, int64_t out_stride, const char* in, int64_t in_stride, int64_t n);
CastLoop cast_loop(int from, int to);

}  // namespace atled::core
