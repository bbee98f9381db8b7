// Copies that turn matrices, through shared memory, so that reads and writes both run along memory.
#pragma once

#include "atled/plugin.hpp"

namespace atled::core::cuda {

// out[...] = in[...] if that is a transpose, of operands of one dtype and shape: false, and nothing done, when it is
// not.
bool transpose(const atled_tensor* out, const atled_tensor* in);

}  // namespace atled::core::cuda
