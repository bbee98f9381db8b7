// Stochastic gradient descent with momentum (Sutskever et al. 2013, in the form that PyTorch gives it).
#pragma once

#include "lists.h"

namespace atled::optim {

// The arguments of optim::sgd_, checked.
struct SgdCall {
  Tensors params, grads, buffers;
  bool first;
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize;

  explicit SgdCall(const atled_frame* f)
      : params(f->args[0]),
        grads(f->args[1]),
        buffers(f->args[2]),
        first(arg_bool(f, 3)),
        lr(arg_double(f, 4)),
        momentum(arg_double(f, 5)),
        dampening(arg_double(f, 6)),
        weight_decay(arg_double(f, 7)),
        nesterov(arg_bool(f, 8)),
        maximize(arg_bool(f, 9)) {
    check_params(params);
    check_list("grads", grads, params);
    if (has_buffers()) check_list("buffers", buffers, params);
  }
  bool has_buffers() const { return buffers.n > 0; }
};

// One element's step: of the parameter, its gradient and, with momentum, its buffer.
template <class C, bool kMomentum>
struct SgdUpdate {
  static constexpr int kOperands = kMomentum ? 3 : 2;
  struct Step {};  // what differs from tensor to tensor

  C lr, momentum, undamped, decay, sign;
  bool first, nesterov;

  explicit SgdUpdate(const SgdCall& s)
      : lr(static_cast<C>(s.lr)),
        momentum(static_cast<C>(s.momentum)),
        undamped(static_cast<C>(1 - s.dampening)),
        decay(static_cast<C>(s.weight_decay)),
        sign(s.maximize ? C(-1) : C(1)),
        first(s.first),
        nesterov(s.nesterov) {}

  ATLED_HOST_DEVICE Step settled(Step step) const { return step; }
  ATLED_HOST_DEVICE void operator()(const Step&, C* x) const {
    const C d = sign * x[1] + decay * x[0];
    if constexpr (kMomentum) {
      const C b = first ? d : momentum * x[2] + undamped * d;
      x[2] = b;
      x[0] = x[0] - lr * (nesterov ? d + momentum * b : b);
    } else {
      x[0] = x[0] - lr * d;
    }
  }
};

}  // namespace atled::optim
