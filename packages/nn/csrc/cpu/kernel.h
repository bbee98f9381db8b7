// What the CPU kernels share.
#pragma once

#include "cpu/levels.h"
#include "ops/operands.h"
#include "ops/rules.h"

namespace atled::nn {

// How many rows of n elements are worth a thread.
inline int64_t row_grain(int64_t n) { return n >= 16384 ? 1 : 16384 / (n > 0 ? n : 1); }

}  // namespace atled::nn
