// What is done to all gradients together before a step: clipping by their norm (Pascanu et al. 2013), and undoing the
// scale of a loss (Micikevicius et al. 2018). What is found of them stays a tensor, so that no device is waited for.
#pragma once

#include <cmath>

#include "lists.h"

namespace atled::optim {

// The p-norm in parts: elements are added to a part, parts are joined, and what all come to is finished.
struct Norm {
  double p;
  bool largest;

  explicit Norm(double order) : p(order), largest(std::isinf(order)) {
    if (!(p > 0)) fail(ATLED_E_VALUE, "expected norm_type > 0 (inf for the largest element), got %g", p);
  }
  ATLED_HOST_DEVICE double join(double a, double b) const { return largest ? (b > a || b != b ? b : a) : a + b; }
  ATLED_HOST_DEVICE double add(double part, double x) const {
    x = std::fabs(x);
    return join(part, largest || p == 1 ? x : p == 2 ? x * x : std::pow(x, p));
  }
  ATLED_HOST_DEVICE double finish(double all) const {
    return largest || p == 1 ? all : p == 2 ? std::sqrt(all) : std::pow(all, 1 / p);
  }
};

// What a complex element counts as in a norm.
inline const atled::Op length{"core::abs"};

// The dtype of the norm of gradients, which must be floating-point: float32, or float64 if one of them is.
inline int norm_dtype(Tensors grads) {
  int dtype = ATLED_FLOAT32;
  for (uint32_t i = 0; i < grads.n; ++i) {
    const int given = entry(grads, i)->dtype;
    if (!is_floating(given))
      fail(ATLED_E_DTYPE, "expected gradients of a floating-point or complex dtype, got %s", dtype_name(given));
    if (given == ATLED_FLOAT64) dtype = ATLED_FLOAT64;
  }
  return dtype;
}

// The arguments of optim::scale_by_norm_, checked.
struct ScaleCall {
  const RealList real;
  Tensors grads = real;
  const atled_tensor* norm;
  double max_norm;

  explicit ScaleCall(const atled_frame* f)
      : real(check_params(f->args[0]), view_as_real), norm(arg_tensor(f, 1)), max_norm(arg_double(f, 2)) {
    if (numel(norm) != 1 || (norm->dtype != ATLED_FLOAT32 && norm->dtype != ATLED_FLOAT64))
      fail(ATLED_E_ARGUMENT, "expected norm to be one float32 or float64, got %s of shape %s", dtype_name(norm->dtype),
           shape_text(norm).c_str());
  }
  // What gradients are multiplied by; NaN where the norm is NaN.
  static ATLED_HOST_DEVICE double factor(double norm, double max_norm) {
    const double quotient = max_norm / (norm + 1e-6);
    return quotient >= 1 ? 1 : quotient;
  }
};

// The arguments of optim::unscale_, checked.
struct UnscaleCall {
  const RealList real;
  Tensors grads = real;
  double by;

  explicit UnscaleCall(const atled_frame* f) : real(check_params(f->args[0]), view_as_real), by(arg_double(f, 1)) {
    if (!std::isfinite(by)) fail(ATLED_E_VALUE, "expected a finite inv_scale, got %g", by);
  }
};

// Whether a number is neither infinite nor NaN.
template <class C>
ATLED_HOST_DEVICE bool finite(C x) {
  return x - x == C(0);
}

}  // namespace atled::optim
