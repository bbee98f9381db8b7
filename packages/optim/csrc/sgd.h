// Stochastic gradient descent with momentum (Sutskever et al. 2013, in the form that PyTorch gives it).
#pragma once

#include "step.h"

namespace atled::optim {

struct Sgd {
  static constexpr const char* kOp = "optim::sgd_";
  static constexpr const char* kSchema =
      "optim::sgd_(Tensor(a!)[] params, Tensor[] grads, Tensor(a!)[] buffers, bool first, *, float lr, float "
      "momentum=0.0, float dampening=0.0, float weight_decay=0.0, bool nesterov=False, bool maximize=False) -> "
      "Tensor[]";
  static constexpr const char* kDoc =
      "One step of SGD on all tensors of a group, in place. buffers is empty without momentum; first says that they "
      "hold nothing yet. float16 and bfloat16 are computed in float32. Returns params.\n\n"
      ">>> w = at.tensor([1.0])\n"
      ">>> _ = at.ops.optim.sgd_([w], [at.tensor([3.0])], [], True, lr=0.25)\n"
      ">>> w\n"
      "tensor([0.2500])";
  static constexpr int kStates = 1, kOptional = 1, kNumbers = 0, kCounts = 0;

  bool first;
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize;

  explicit Sgd(Settings next)
      : first(next.flag()),
        lr(next.number()),
        momentum(next.number()),
        dampening(next.number()),
        weight_decay(next.number()),
        nesterov(next.flag()),
        maximize(next.flag()) {}

  template <class C, unsigned kGiven>
  struct Update {
    static constexpr int kOperands = 2 + kGiven;
    struct Step {};

    C lr, momentum, undamped, decay, sign;
    bool first, nesterov;

    explicit Update(const Sgd& s)
        : lr(static_cast<C>(s.lr)),
          momentum(static_cast<C>(s.momentum)),
          undamped(static_cast<C>(1 - s.dampening)),
          decay(static_cast<C>(s.weight_decay)),
          sign(s.maximize ? C(-1) : C(1)),
          first(s.first),
          nesterov(s.nesterov) {}

    ATLED_HOST_DEVICE Step at(const double*) const { return {}; }
    ATLED_HOST_DEVICE void operator()(const Step&, C* x) const {
      const C d = sign * x[1] + decay * x[0];
      if constexpr (kGiven != 0) {
        const C b = first ? d : momentum * x[2] + undamped * d;
        x[2] = b;
        x[0] = x[0] - lr * (nesterov ? d + momentum * b : b);
      } else {
        x[0] = x[0] - lr * d;
      }
    }
  };
};

}  // namespace atled::optim
