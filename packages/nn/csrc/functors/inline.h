// ATLED_INLINE marks scalar functions that are always compiled into their caller: host code, and in .cu files device
// code as well.
#pragma once

#if defined(__CUDACC__)
#define ATLED_INLINE __host__ __device__ __forceinline__
#elif defined(_MSC_VER)
#define ATLED_INLINE __forceinline
#else
#define ATLED_INLINE inline __attribute__((always_inline))
#endif
