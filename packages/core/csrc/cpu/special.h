// What kernels of special functions share. Functions are of double; float's results are rounded from them.
#pragma once

#include "cpu/kernels.h"

namespace atled::core {

template <double (*f)(double)>
struct OfDouble {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return static_cast<T>(f(static_cast<double>(x)));
  }
};
template <double (*f)(double, double)>
struct OfDoubles {
  template <class T>
  ATLED_FN T operator()(T a, T b) const {
    return static_cast<T>(f(static_cast<double>(a), static_cast<double>(b)));
  }
};

template <double (*f)(double)>
inline const LoopTable of_double = LoopTable().unary_plain<OfDouble<f>>(Floats{});
template <double (*f)(double, double)>
inline const LoopTable of_doubles = LoopTable().binary_plain<OfDoubles<f>>(Floats{});

// An element costs so much that a thread is worth it early.
constexpr int64_t kSpecialGrain = 2048;

// Over all operands of the op; ctx is the functor's, or NULL.
inline void run_special(atled_frame* frame, const LoopTable& table, void* ctx = nullptr) {
  const ArgSet args = operands(frame->op);
  const int dtype = float_dtype(promoted(frame, args));
  Elementwise e;
  e.output(out_tensor(frame), compute_dtype(dtype));
  for (int i = 0; args >> i; ++i)
    if (args >> i & 1) e.operand(frame->args[i], compute_dtype(dtype));
  e.run(find_loop(table, dtype), ctx, kSpecialGrain);
}

inline int run_special_table(void* table, atled_frame* frame) noexcept {
  return guard([&] { run_special(frame, *static_cast<const LoopTable*>(table)); });
}

template <double (*f)(double)>
void special_kernel(const char* op) {
  cpu_kernel(op, run_special_table, of_double<f>);
}
template <double (*f)(double, double)>
void special_kernel(const char* op) {
  cpu_kernel(op, run_special_table, of_doubles<f>);
}

}  // namespace atled::core
