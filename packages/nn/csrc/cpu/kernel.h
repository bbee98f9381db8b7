// What the CPU kernels share.
#pragma once

#include "cpu/levels.h"
#include "ops/operands.h"
#include "ops/rules.h"

namespace atled::nn {

// How many rows of n elements are worth a thread.
inline int64_t row_grain(int64_t n) { return n >= 16384 ? 1 : 16384 / (n > 0 ? n : 1); }

// Runs a kernel with float32 in place of float16 and bfloat16: arguments are converted before, results rounded after,
// both in vectors, where the kernel's own loops would convert one number after the other.
void in_wide_floats(atled_frame* frame, void (*run)(atled_frame*));
// A kernel that run<float> and run<double> are, by the dtype of argument `i`.
template <void (*run_float)(atled_frame*), void (*run_double)(atled_frame*), int i>
void wide_kernel(atled_frame* frame) {
  const int dtype = arg_tensor(frame, i)->dtype;
  if (dtype == ATLED_FLOAT64) return run_double(frame);
  if (dtype == ATLED_FLOAT32) return run_float(frame);
  in_wide_floats(frame, run_float);
}

}  // namespace atled::nn
