// Copies that turn matrices, through shared memory, so that reads and writes both run along memory.
#pragma once

#include "cuda/transpose_plan.h"
#include "atled/plugin.hpp"

namespace atled::core::cuda {

// out[...] = in[...] if that is a transpose, of operands of one dtype: false, and nothing done, when it is not.
bool transpose(const atled_tensor* out, const atled_tensor* in, const Walk& walk);

}  // namespace atled::core::cuda
