// ATLED_FN marks a functor's members: host and device code that is always compiled into its caller.
#pragma once

#include "atled/dtype.hpp"

#if defined(__CUDACC__)
#define ATLED_INLINE inline
#elif defined(__GNUC__)
#define ATLED_INLINE __attribute__((always_inline)) inline
#elif defined(_MSC_VER)
#define ATLED_INLINE __forceinline
#else
#define ATLED_INLINE inline
#endif

// Before a loop that device code is to keep as one.
#if defined(__CUDACC__)
#define ATLED_ROLLED _Pragma("unroll 1")
#else
#define ATLED_ROLLED
#endif

#define ATLED_FN ATLED_HOST_DEVICE ATLED_INLINE
