// ATLED_LANES, before a loop over the lanes of a vector: GCC unrolls up to 16 of them before its vectoriser sees a
// loop, and then makes no vectors of comparisons. Not for sums, which it makes vectors of and keeps in registers.
#pragma once

#if defined(__GNUC__) && !defined(__clang__)
#define ATLED_LANES _Pragma("GCC unroll 1")
#else
#define ATLED_LANES
#endif
