// Loops compiled for several instruction sets, the best chosen at run time.
//
// Each level is a struct whose members are the templates of loops.inl, compiled with that level's target attribute, so
// its code has names of its own. What the loops call must be ATLED_INLINE: it is then compiled for the loop's level.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "atled/dtype.hpp"
#include "atled/levels.hpp"
#include "atled/philox.h"
#include "functors/attention.h"
#include "functors/math.h"
#include "functors/recurrent.h"

#if ATLED_X86_LEVELS
#include <immintrin.h>
#endif

namespace atled::nn {

// Whether the compiler has shuffles of vectors.
#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
#define ATLED_SHUFFLES 1
#else
#define ATLED_SHUFFLES 0
#endif

// What a loop of slopes needs: the function, and what all of them are multiplied by.
template <class T, class F>
struct Scaled {
  F f;
  T scale;
};

struct Baseline {
  constexpr static int kVectorBytes = 16, kTileRows = 6;
#define ATLED_TARGET
#include "cpu/attention.inl"
#include "cpu/loops.inl"
#include "cpu/rows.inl"
#undef ATLED_TARGET
};

#if ATLED_X86_LEVELS
#define ATLED_VECTOR_INSTRUCTIONS
struct Avx2 {
  constexpr static int kVectorBytes = 32, kTileRows = 6;
#define ATLED_TARGET ATLED_TARGET_AVX2
#include "cpu/attention.inl"
#include "cpu/loops.inl"
#include "cpu/rows.inl"
#undef ATLED_TARGET
};
struct Avx512 {
  constexpr static int kVectorBytes = 64, kTileRows = 12;
#define ATLED_TARGET ATLED_TARGET_AVX512
#include "cpu/attention.inl"
#include "cpu/loops.inl"
#include "cpu/rows.inl"
#undef ATLED_TARGET
};
#undef ATLED_VECTOR_INSTRUCTIONS
#else
using Avx2 = Baseline;
using Avx512 = Baseline;
#endif

// ATLED_PICK(values<T, F>): the member of this machine's level.
#define ATLED_PICK(...)                                                                 \
  (::atled::cpu_level() == ::atled::kAvx512 ? ::atled::nn::Avx512::template __VA_ARGS__ \
   : ::atled::cpu_level() == ::atled::kAvx2 ? ::atled::nn::Avx2::template __VA_ARGS__   \
                                            : ::atled::nn::Baseline::template __VA_ARGS__)

}  // namespace atled::nn
