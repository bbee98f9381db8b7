// The loops of random.inl for each instruction set level; a file that includes this compiles its own.
#pragma once

#include <algorithm>

#include "cpu/levels.h"
#include "functors/random.h"

namespace atled::core {
namespace {
namespace random {

constexpr int64_t kLanes = 64;  // counters at once, so that the compiler makes vectors of them

struct Baseline {
#define ATLED_TARGET
#include "cpu/random.inl"
#undef ATLED_TARGET
};
#if ATLED_X86_LEVELS
struct Avx2 {
#define ATLED_TARGET __attribute__((target("avx2,fma")))
#include "cpu/random.inl"
#undef ATLED_TARGET
};
struct Avx512 {
#define ATLED_TARGET __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,prefer-vector-width=512")))
#include "cpu/random.inl"
#undef ATLED_TARGET
};
#else
using Avx2 = Baseline;
using Avx512 = Baseline;
#endif

}  // namespace random

// ATLED_RANDOM(draw<4, float, F>): the member of this machine's level.
#define ATLED_RANDOM(...)                                        \
  (cpu_level() == kAvx512 ? random::Avx512::template __VA_ARGS__ \
   : cpu_level() == kAvx2 ? random::Avx2::template __VA_ARGS__   \
                          : random::Baseline::template __VA_ARGS__)

constexpr int64_t kGrain = 2048;  // counters that are worth a thread

}  // namespace
}  // namespace atled::core
