// The element-wise iterator: calls a loop over host tensors of any strides and dtypes that broadcast together.
//
// A loop (atled_loop) sees n elements of each operand, outputs first: data[i] and a stride in bytes. The iterator
// drops, reorders and joins dimensions so that n is large, converts operands whose dtype is not the loop's in small
// blocks on the stack (inputs that are repeated, once, in memory of their own), and spreads large work over the thread
// pool. An output may be the very same memory as an input; partial overlap is the dispatcher's to resolve.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "atled/plugin.hpp"
#include "ops/scalars.h"

namespace atled::core {

// A loop over rows of n elements: the next row of operand k begins steps[k] bytes after the one before.
using RowsLoop = void (*)(void* ctx, char* const* data, const int64_t* strides, const int64_t* steps, int64_t n,
                          int64_t rows);

class Elementwise {
 public:
  static constexpr int kMaxOperands = 8;
  static constexpr int64_t kGrain = 32768;

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

  // `grain`: how many elements are worth a thread. Where the thread puts the call off (dispatch/fusion.h), the loop
  // runs later, with a copy of what ctx points to; one that points on must be given as void*, and runs now.
  template <class T>
  void run(atled_loop loop, T* ctx, int64_t grain = kGrain) {
    static_assert(std::is_void_v<T> || std::is_trivially_copyable_v<T>, "expected a context that may be copied");
    if constexpr (std::is_void_v<T>)
      run(loop, ctx, 0, grain);
    else
      run(loop, ctx, sizeof(T), grain);
  }
  // The same, of ctx_bytes at ctx; none for one that points on.
  void run(atled_loop loop, void* ctx, size_t ctx_bytes, int64_t grain);
  // The same, with a loop that does many rows in one call, for work that is little beside a call for each short row.
  void run_rows(atled_loop loop, RowsLoop rows, void* ctx, size_t ctx_bytes, int64_t grain = kGrain);
  void run(atled_loop loop, std::nullptr_t = nullptr, int64_t grain = kGrain) { run(loop, nullptr, 0, grain); }

 private:
  struct Operand {
    const atled_tensor* tensor;  // NULL: a number, in the operand's slot
    char* data;
    int dtype;
  };
  friend class Walk;
  friend class Deferral;

  void add(const atled_tensor* t, char* data, int dtype);
  void convert_few(Tensor* converted);
  bool run_flat(atled_loop loop, void* ctx, int64_t grain);

  int outputs_ = 0, count_ = 0;
  bool casts_ = false;
  uint32_t anchors_ = 0;  // a bit for each anchored operand
  Operand operands_[kMaxOperands];
  alignas(16) char numbers_[kMaxOperands][16];
};

// The frame's outputs, then its tensor and scalar arguments in order, as the ABI's kernel group has it.
int elementwise(atled_frame* frame, int in_dtype, int out_dtype, atled_loop loop, void* ctx) noexcept;
int elementwise_of(atled_frame* frame, int in_dtype, int out_dtype, atled_loop loop, const void* ctx,
                   size_t ctx_bytes) noexcept;

}  // namespace atled::core
