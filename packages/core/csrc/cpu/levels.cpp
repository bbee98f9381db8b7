#include "cpu/levels.h"

#include <cstdlib>

namespace atled::core {

namespace {

Level detect() {
#if ATLED_X86_LEVELS
  Level level = kBaseline;
  // Whatever has AVX2 has F16C, for which not every compiler has a name here.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) {
    level = kAvx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd"))
      level = kAvx512;
  }
  if (const char* asked = std::getenv("ATLED_CPU_LEVEL")) {
    const Level wanted = !std::strcmp(asked, "baseline") ? kBaseline : !std::strcmp(asked, "avx2") ? kAvx2 : kAvx512;
    if (wanted < level) level = wanted;
  }
  return level;
#else
  return kBaseline;
#endif
}

}  // namespace

Level cpu_level() {
  static const Level level = detect();
  return level;
}

}  // namespace atled::core
