// The element-wise iterator: calls a loop over host tensors of any strides and dtypes that broadcast together.
//
// A loop (atled_loop) sees n elements of each operand, outputs first: data[i] and a stride in bytes. The iterator
// drops, reorders and joins dimensions so that n is large, converts operands whose dtype is not the loop's in small
// blocks on the stack, and spreads large work over the thread pool. Nothing is allocated. An output may be the very
// same memory as an input; partial overlap is the dispatcher's to resolve.
#pragma once

#include <cstdint>

#include "atled/plugin.hpp"
#include "ops/scalars.h"

namespace atled::core {

class Elementwise {
 public:
  static constexpr int kMaxOperands = 8;

  // Outputs first. All outputs have one shape; inputs broadcast to it. `dtype` is what the loop reads or writes.
  Elementwise& output(const atled_tensor* t, int dtype);
  Elementwise& input(const atled_tensor* t, int dtype);
  // A Python number, converted once. InvalidValueError when an integer does not fit.
  Elementwise& scalar(const atled_value& v, int dtype);
  // A tensor or a Python number; None is skipped.
  Elementwise& operand(const atled_value& v, int dtype);
  // The loop goes from the last operand's elements to others of its tensor, so that none may be copied elsewhere first.
  // Its dtype must be the tensor's own.
  Elementwise& anchored();

  // `grain`: how many elements are worth a thread.
  void run(atled_loop loop, void* ctx = nullptr, int64_t grain = 32768);

 private:
  struct Operand {
    const atled_tensor* tensor;  // NULL: a number, in the operand's slot
    char* data;
    int dtype;
  };
  friend class Walk;

  void add(const atled_tensor* t, char* data, int dtype);
  bool run_flat(atled_loop loop, void* ctx, int64_t grain);

  int outputs_ = 0, count_ = 0;
  bool casts_ = false;
  uint32_t anchors_ = 0;  // a bit for each anchored operand
  Operand operands_[kMaxOperands];
  alignas(16) char numbers_[kMaxOperands][16];
};

// The frame's outputs, then its tensor and scalar arguments in order, as kernel_group.elementwise has it.
int elementwise(atled_frame* frame, int in_dtype, int out_dtype, atled_loop loop, void* ctx);

}  // namespace atled::core
