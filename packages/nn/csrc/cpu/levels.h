// Loops compiled for several instruction sets, the best chosen at run time.
//
// Each level is a struct whose members are the templates of loops.inl, compiled with that level's target attribute, so
// its code has names of its own. What the loops call must be ATLED_INLINE: it is then compiled for the loop's level.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>

#include "atled/dtype.hpp"
#include "atled/philox.h"
#include "atled/targets.h"
#include "functors/math.h"

namespace atled::nn {

enum Level { kBaseline, kAvx2, kAvx512 };

// The best level of this machine; ATLED_CPU_LEVEL=baseline|avx2|avx512 lowers it.
inline Level cpu_level() {
#if ATLED_X86_LEVELS
  static const Level level = [] {
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
    const Level best = avx512 ? kAvx512 : avx2 ? kAvx2 : kBaseline;
    const char* asked = std::getenv("ATLED_CPU_LEVEL");
    if (!asked) return best;
    const Level wanted = !std::strcmp(asked, "baseline") ? kBaseline : !std::strcmp(asked, "avx2") ? kAvx2 : kAvx512;
    return wanted < best ? wanted : best;
  }();
  return level;
#else
  return kBaseline;
#endif
}

struct Baseline {
#define ATLED_TARGET
#include "cpu/loops.inl"
#undef ATLED_TARGET
};

#if ATLED_X86_LEVELS
struct Avx2 {
#define ATLED_TARGET ATLED_TARGET_AVX2
#include "cpu/loops.inl"
#undef ATLED_TARGET
};
struct Avx512 {
#define ATLED_TARGET ATLED_TARGET_AVX512
#include "cpu/loops.inl"
#undef ATLED_TARGET
};
#else
using Avx2 = Baseline;
using Avx512 = Baseline;
#endif

// ATLED_PICK(values<T, F>): the member of this machine's level.
#define ATLED_PICK(...)                                                                         \
  (::atled::nn::cpu_level() == ::atled::nn::kAvx512 ? ::atled::nn::Avx512::template __VA_ARGS__ \
   : ::atled::nn::cpu_level() == ::atled::nn::kAvx2 ? ::atled::nn::Avx2::template __VA_ARGS__   \
                                                    : ::atled::nn::Baseline::template __VA_ARGS__)

}  // namespace atled::nn
