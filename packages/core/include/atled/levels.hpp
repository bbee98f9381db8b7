// The levels of instructions that loops are compiled for (targets.h has them as attributes), and this machine's.
#pragma once

#include <cstdlib>
#include <cstring>

#include "targets.h"

namespace atled {

enum Level { kBaseline, kAvx2, kAvx512 };

// The best level of this machine; ATLED_CPU_LEVEL=baseline|avx2|avx512 lowers it.
inline Level cpu_level() {
#if ATLED_X86_LEVELS
  static const Level level = [] {
    // Whatever has AVX2 has F16C, for which not every compiler has a name here.
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512cd");
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

}  // namespace atled
