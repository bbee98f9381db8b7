// Loops compiled for several instruction sets, the best chosen at run time.
//
// Each level is a struct whose members are the templates of loops.inl (or of a family's own file, by each_level.inl),
// compiled with that level's target attribute; so its code has names of its own and the linker can never hand it to a
// lesser machine. What the loops call must be ATLED_INLINE: it is then compiled as part of the loop, for the loop's
// level.
#pragma once

#include <cmath>
#include <complex>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "atled/dtype.hpp"
#include "atled/levels.hpp"
#include "atled/targets.h"
#include "functors/inline.h"

#if ATLED_X86_LEVELS
#include <immintrin.h>
#endif

// The operands of an element-wise loop are the same memory or apart, so no iteration depends on another.
#if defined(__clang__)
#define ATLED_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define ATLED_IVDEP _Pragma("GCC ivdep")
#else
#define ATLED_IVDEP
#endif

namespace atled::core {

using atled::cpu_level;
using atled::kAvx2;
using atled::kAvx512;
using atled::kBaseline;
using atled::Level;

#define ATLED_LEVEL_BODY "cpu/loops.inl"
#include "cpu/each_level.inl"

// ATLED_PICK_OF(family, unary<F, R, A>): the member of this machine's level, in namespace `family`'s structs.
#define ATLED_PICK_OF(family, ...)                                                             \
  (::atled::core::cpu_level() == ::atled::core::kAvx512 ? family::Avx512::template __VA_ARGS__ \
   : ::atled::core::cpu_level() == ::atled::core::kAvx2 ? family::Avx2::template __VA_ARGS__   \
                                                        : family::Baseline::template __VA_ARGS__)
#define ATLED_PICK(...) ATLED_PICK_OF(::atled::core, __VA_ARGS__)

}  // namespace atled::core
