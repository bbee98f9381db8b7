/* The levels of x86-64 instructions as function attributes: ATLED_TARGET_AVX2 and ATLED_TARGET_AVX512, where
 * ATLED_X86_LEVELS is 1. Only what runs after a check of the processor may be compiled with one. */
#ifndef ATLED_TARGETS_H
#define ATLED_TARGETS_H

#if defined(__x86_64__) && defined(__GNUC__)
#define ATLED_X86_LEVELS 1
/* GCC takes 256 bits for what AVX-512 means unless told otherwise; Clang ignores an attribute with that word in it. */
#if defined(__clang__)
#define ATLED_WHOLE_VECTORS ""
#else
#define ATLED_WHOLE_VECTORS ",prefer-vector-width=512"
#endif
#define ATLED_TARGET_AVX2 __attribute__((target("avx2,fma,f16c,bmi,bmi2")))
#define ATLED_TARGET_AVX512 \
  __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512cd,avx2,fma,f16c,bmi,bmi2" ATLED_WHOLE_VECTORS)))
#else
#define ATLED_X86_LEVELS 0
#endif

#endif
