// Python numbers beside tensors: as elements of a dtype, what the two are compared in, and a dtype's limits.
#pragma once

#include "ops/rules.h"

namespace atled::core {

// Writes a Python number as one element of dtype. InvalidValueError when an integer or its sign does not fit,
// DTypeError when a complex number is to become real.
void store_scalar(const atled_value& v, int dtype, void* out);

// What numbers are compared in: a Python integer that the tensor's dtype does not have is not rounded to one it has.
int comparison_dtype(const atled_frame* frame, ArgSet args, int dtype);

// The largest finite number of a floating or complex dtype.
double largest_finite(int dtype);

}  // namespace atled::core
