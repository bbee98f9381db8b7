#include "tensor/dtype.h"

#include <atomic>

#include "atled/plugin.hpp"

namespace atled::core {
namespace {
std::atomic<int> default_{ATLED_FLOAT32};
}

int default_dtype() { return default_.load(std::memory_order_relaxed); }

void set_default_dtype(int dtype) {
  if (!is_floating(dtype) || is_float8(dtype))
    fail(ATLED_E_DTYPE, "set_default_dtype: expected a floating-point dtype to compute in, got %s", dtype_name(dtype));
  default_.store(dtype, std::memory_order_relaxed);
}

}  // namespace atled::core
