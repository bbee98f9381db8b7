// Steps divided by the size that gradients had: Adagrad (Duchi et al. 2011, figure 1, diagonal), Adadelta (Zeiler 2012,
// algorithm 1) and RMSprop (Hinton 2012, lecture 6e; centered as in Graves 2013, equations 38 to 45).
#pragma once

#include "step.h"

namespace atled::optim {

struct Adagrad {
  static constexpr const char* kOp = "optim::adagrad_";
  static constexpr const char* kSchema =
      "optim::adagrad_(Tensor(a!)[] params, Tensor[] grads, Tensor(a!)[] sums, int[] steps, *, float lr, float "
      "lr_decay=0.0, float eps=1e-10, float weight_decay=0.0, bool maximize=False) -> Tensor[]";
  static constexpr const char* kDoc =
      "One step of Adagrad on all tensors of a group, in place. sums are of squares; steps counts from 1. float16 and "
      "bfloat16 are computed in float32. Returns params.\n\n"
      ">>> w, s = at.tensor([1.0]), at.zeros(1)\n"
      ">>> _ = at.ops.optim.adagrad_([w], [at.tensor([3.0])], [s], [1], lr=0.5)\n"
      ">>> w\n"
      "tensor([0.5000])";
  static constexpr int kStates = 1, kOptional = 0, kNumbers = 1, kCounts = 0;

  double lr, lr_decay, eps, weight_decay;
  bool maximize;
  explicit Adagrad(Settings next)
      : lr(next.number()),
        lr_decay(next.number()),
        eps(next.number()),
        weight_decay(next.number()),
        maximize(next.flag()) {}

  template <class C, unsigned>
  struct Update {
    static constexpr int kOperands = 3;
    struct Step {
      C lr;
    };

    double lr, lr_decay;
    C eps, decay, sign;
    explicit Update(const Adagrad& s)
        : lr(s.lr),
          lr_decay(s.lr_decay),
          eps(static_cast<C>(s.eps)),
          decay(static_cast<C>(s.weight_decay)),
          sign(s.maximize ? C(-1) : C(1)) {}

    ATLED_HOST_DEVICE Step at(const double* numbers) const {
      return {static_cast<C>(lr / (1 + (numbers[0] - 1) * lr_decay))};
    }
    ATLED_HOST_DEVICE void operator()(const Step& step, C* x) const {
      const C d = sign * x[1] + decay * x[0];
      const C sum = x[2] = x[2] + d * d;
      x[0] = x[0] - step.lr * d / (std::sqrt(sum) + eps);
    }
  };
};

struct Adadelta : Counting {
  static constexpr const char* kOp = "optim::adadelta_";
  static constexpr const char* kSchema =
      "optim::adadelta_(Tensor(a!)[] params, Tensor[] grads, Tensor(a!)[] squares, Tensor(a!)[] deltas, *, float lr, "
      "float rho, float eps, float weight_decay=0.0, bool maximize=False, Tensor(a!)[]? counts=None) -> Tensor[]";
  static constexpr const char* kDoc =
      "One step of Adadelta on all tensors of a group, in place. squares and deltas are means of the squares of "
      "gradients and of changes; counts has a float32 for each tensor, which is increased. float16 and bfloat16 are "
      "computed in float32. Returns params.\n\n"
      ">>> w, v, u = at.tensor([1.0]), at.zeros(1), at.zeros(1)\n"
      ">>> _ = at.ops.optim.adadelta_([w], [at.tensor([3.0])], [v], [u], lr=1.0, rho=0.9, eps=1e-2)\n"
      ">>> w\n"
      "tensor([0.6855])";
  static constexpr int kStates = 2, kOptional = 0, kNumbers = 0, kCounts = 1;

  double lr, rho, eps, weight_decay;
  bool maximize;
  explicit Adadelta(Settings next)
      : lr(next.number()), rho(next.number()), eps(next.number()), weight_decay(next.number()), maximize(next.flag()) {}

  template <class C, unsigned>
  struct Update {
    static constexpr int kOperands = 4;
    struct Step {};

    C lr, kept, fresh, eps, decay, sign;
    explicit Update(const Adadelta& s)
        : lr(static_cast<C>(s.lr)),
          kept(static_cast<C>(s.rho)),
          fresh(static_cast<C>(1 - s.rho)),
          eps(static_cast<C>(s.eps)),
          decay(static_cast<C>(s.weight_decay)),
          sign(s.maximize ? C(-1) : C(1)) {}

    ATLED_HOST_DEVICE Step at(const double*) const { return {}; }
    ATLED_HOST_DEVICE void operator()(const Step&, C* x) const {
      const C d = sign * x[1] + decay * x[0];
      const C square = x[2] = kept * x[2] + fresh * d * d;
      const C delta = std::sqrt(x[3] + eps) / std::sqrt(square + eps) * d;
      x[3] = kept * x[3] + fresh * delta * delta;
      x[0] = x[0] - lr * delta;
    }
  };
};

struct RMSprop : Counting {
  static constexpr const char* kOp = "optim::rmsprop_";
  static constexpr const char* kSchema =
      "optim::rmsprop_(Tensor(a!)[] params, Tensor[] grads, Tensor(a!)[] squares, Tensor(a!)[] means, Tensor(a!)[] "
      "buffers, *, float lr, float alpha, float eps, float weight_decay=0.0, float momentum=0.0, bool maximize=False, "
      "Tensor(a!)[]? counts=None) -> Tensor[]";
  static constexpr const char* kDoc =
      "One step of RMSprop on all tensors of a group, in place. means is empty unless the step is centered, buffers "
      "without momentum; counts has a float32 for each tensor, which is increased. float16 and bfloat16 are computed "
      "in float32. Returns params.\n\n"
      ">>> w, v = at.tensor([1.0]), at.zeros(1)\n"
      ">>> _ = at.ops.optim.rmsprop_([w], [at.tensor([3.0])], [v], [], [], lr=0.01, alpha=0.99, eps=1e-8)\n"
      ">>> w\n"
      "tensor([0.9000])";
  static constexpr int kStates = 3, kOptional = 2, kNumbers = 0, kCounts = 1;

  double lr, alpha, eps, weight_decay, momentum;
  bool maximize;
  explicit RMSprop(Settings next)
      : lr(next.number()),
        alpha(next.number()),
        eps(next.number()),
        weight_decay(next.number()),
        momentum(next.number()),
        maximize(next.flag()) {}

  template <class C, unsigned kGiven>
  struct Update {
    static constexpr bool kCentered = kGiven % 2 != 0, kMomentum = kGiven / 2 != 0;
    static constexpr int kOperands = 3 + kCentered + kMomentum;
    struct Step {};

    C lr, kept, fresh, eps, decay, momentum, sign;
    explicit Update(const RMSprop& s)
        : lr(static_cast<C>(s.lr)),
          kept(static_cast<C>(s.alpha)),
          fresh(static_cast<C>(1 - s.alpha)),
          eps(static_cast<C>(s.eps)),
          decay(static_cast<C>(s.weight_decay)),
          momentum(static_cast<C>(s.momentum)),
          sign(s.maximize ? C(-1) : C(1)) {}

    ATLED_HOST_DEVICE Step at(const double*) const { return {}; }
    ATLED_HOST_DEVICE void operator()(const Step&, C* x) const {
      const C d = sign * x[1] + decay * x[0];
      C spread = x[2] = kept * x[2] + fresh * d * d;
      if constexpr (kCentered) {
        const C mean = x[3] = kept * x[3] + fresh * d;
        spread = spread - mean * mean;
        spread = spread < 0 ? C(0) : spread;  // as rounding can make it
      }
      C by = d / (std::sqrt(spread) + eps);
      if constexpr (kMomentum) by = x[kOperands - 1] = momentum * x[kOperands - 1] + by;
      x[0] = x[0] - lr * by;
    }
  };
};

}  // namespace atled::optim
