// The calling thread's floating-point mode: whether subnormal numbers are flushed to zero.
#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace atled::core {

#if defined(__x86_64__) || defined(_M_X64)
using FloatMode = uint32_t;
constexpr bool kHasFloatMode = true;
constexpr FloatMode kFlushDenormal = 0x8040;                               // results to zero, operands as zero
inline FloatMode float_mode() { return _mm_getcsr() & ~FloatMode{0x3f}; }  // without the exception flags
inline void set_float_mode(FloatMode mode) { _mm_setcsr(mode); }
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
using FloatMode = uint64_t;
constexpr bool kHasFloatMode = true;
constexpr FloatMode kFlushDenormal = FloatMode{1} << 24;
inline FloatMode float_mode() {
  FloatMode mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
inline void set_float_mode(FloatMode mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
using FloatMode = uint32_t;
constexpr bool kHasFloatMode = false;
constexpr FloatMode kFlushDenormal = 0;
inline FloatMode float_mode() { return 0; }
inline void set_float_mode(FloatMode) {}
#endif

}  // namespace atled::core
