// What ops have that are the array API standard's alone.
#pragma once

#include "ops/rules.h"

namespace atled::core {

// dtype= of a sum that PyTorch does not have: unsigned integers are summed in uint64 unless it says otherwise.
inline atled_value standard_sum_dtype(int dtype, const atled_value& asked) {
  const bool is_unsigned = is_integer(dtype) && !is_signed(dtype);
  return asked.tag == ATLED_DTYPE || !is_unsigned ? asked : dtype_value(ATLED_UINT64);
}

}  // namespace atled::core
