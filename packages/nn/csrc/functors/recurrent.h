// The point-wise parts of recurrent cells and their gradients, for one element.
#pragma once

#include "functors/math.h"

namespace atled::nn {

// Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000. What comes in are the gates' sums.
template <class A>
struct Lstm {
  A i, f, g, o, c, t;

  ATLED_INLINE Lstm(A input, A forget, A cell, A output, A cx)
      : i(sigmoid(input)),
        f(sigmoid(forget)),
        g(hyperbolic_tangent(cell)),
        o(sigmoid(output)),
        c(cx),
        t(hyperbolic_tangent(next())) {}
  ATLED_INLINE A next() const { return f * c + i * g; }
  ATLED_INLINE A hidden() const { return o * t; }

  // With the gradient of what next() answers, that through the hidden state included.
  ATLED_INLINE A through(A grad_h, A grad_c) const { return grad_c + grad_h * o * (A(1) - t * t); }
  ATLED_INLINE A to_input(A through) const { return through * g * i * (A(1) - i); }
  ATLED_INLINE A to_forget(A through) const { return through * c * f * (A(1) - f); }
  ATLED_INLINE A to_cell(A through) const { return through * i * (A(1) - g * g); }
  ATLED_INLINE A to_output(A grad_h) const { return grad_h * t * o * (A(1) - o); }
  ATLED_INLINE A to_cx(A through) const { return through * f; }
};

// Cho et al. 2014, where the reset gate works on the hidden state's product.
template <class A>
struct Gru {
  A r, z, recurrent, n, h;

  ATLED_INLINE Gru(A reset_x, A update_x, A new_x, A reset_h, A update_h, A new_h, A hx)
      : r(sigmoid(reset_x + reset_h)),
        z(sigmoid(update_x + update_h)),
        recurrent(new_h),
        n(hyperbolic_tangent(new_x + r * new_h)),
        h(hx) {}
  ATLED_INLINE A hidden() const { return n + z * (h - n); }

  ATLED_INLINE A to_new(A grad) const { return grad * (A(1) - z) * (A(1) - n * n); }  // of the input's gates
  ATLED_INLINE A to_reset(A to_new) const { return to_new * recurrent * r * (A(1) - r); }
  ATLED_INLINE A to_update(A grad) const { return grad * (h - n) * z * (A(1) - z); }
};

}  // namespace atled::nn
