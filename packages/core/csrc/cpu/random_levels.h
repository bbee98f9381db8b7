// The loops of random.inl for each instruction set level; a file that includes this compiles its own.
#pragma once

#include <algorithm>

#include "cpu/levels.h"
#include "functors/random.h"

namespace atled::core {
namespace {
namespace random {

constexpr int64_t kLanes = 64;  // counters at once, so that the compiler makes vectors of them

#define ATLED_LEVEL_BODY "cpu/random.inl"
#include "cpu/each_level.inl"

}  // namespace random

// ATLED_RANDOM(draw<4, float, F>): the member of this machine's level.
#define ATLED_RANDOM(...) ATLED_PICK_OF(::atled::core::random, __VA_ARGS__)

constexpr int64_t kGrain = 2048;  // counters that are worth a thread

}  // namespace
}  // namespace atled::core
