// The process-wide default dtype of floating-point results.
#pragma once

#include "atled/dtype.hpp"

namespace atled::core {

int default_dtype();
// Expects a floating-point dtype; throws Error otherwise.
void set_default_dtype(int dtype);

}  // namespace atled::core
