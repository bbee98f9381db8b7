// What the CPU kernels share.
#pragma once

#include <memory>
#include <type_traits>

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

// A kernel that is run<T> for each floating dtype T, and converts row by row, in the cache.
template <void (*run_float)(atled_frame*), void (*run_double)(atled_frame*), void (*run_bfloat16)(atled_frame*),
          void (*run_half)(atled_frame*), int i>
void row_kernel(atled_frame* frame) {
  const int dtype = arg_tensor(frame, i)->dtype;
  (dtype == ATLED_FLOAT32    ? run_float
   : dtype == ATLED_FLOAT64  ? run_double
   : dtype == ATLED_BFLOAT16 ? run_bfloat16
                             : run_half)(frame);
}

// Rows of at most n elements in what they are computed in: where they lie, or converted in room of their own.
template <class T>
class Row {
 public:
  using A = Wide<T>;
  explicit Row(int64_t n) : size_(n) {}
  const A* read(const T* x, int64_t n) {
    if constexpr (kOwn) {
      ATLED_PICK(assign_as<T, A, 1>)(x, 1, room(), n);
      return room();
    } else {
      return x;
    }
  }
  // Where to compute a row that write() then puts in its place.
  A* target(T* y) {
    if constexpr (kOwn)
      return room();
    else
      return y;
  }
  void write(T* y, int64_t n) {
    if constexpr (kOwn) ATLED_PICK(assign_as<A, T, 1>)(room(), 1, y, n);
  }

 private:
  static constexpr bool kOwn = !std::is_same_v<T, A>;
  A* room() {
    if (!room_) room_.reset(new A[static_cast<size_t>(size_)]);
    return room_.get();
  }
  int64_t size_;
  std::unique_ptr<A[]> room_;
};

// A result that is computed in another dtype: the tensor itself, or one that finish() copies into it.
class WideResult {
 public:
  WideResult(atled_tensor* out, int dtype)
      : out_(out),
        wide_(out->dtype == dtype ? Tensor::borrow(out)
                                  : Tensor::empty(dtype, out->dl.ndim, out->dl.shape, out->dl.device)) {}
  template <class A>
  A* data() const {
    return atled::data<A>(wide_);
  }
  void finish() const {
    static const Op copy{"core::copy_"};
    if (wide_.get() != out_) copy(out_, wide_);
  }

 private:
  atled_tensor* out_;
  Tensor wide_;
};

}  // namespace atled::nn
