// Adam (Kingma & Ba 2015, algorithm 1), AMSGrad (Reddi et al. 2018) and the decoupled weight decay of AdamW (Loshchilov
// & Hutter 2019); and the kin of Adam: Adamax (Kingma & Ba 2015, algorithm 2), NAdam (Dozat 2016, algorithm 2) and
// RAdam (Liu et al. 2020, algorithm 2).
#pragma once

#include "step.h"

namespace atled::optim {

// Settings that they share.
struct AdamSettings : Counting {
  double lr, beta1, beta2, eps, weight_decay;

  explicit AdamSettings(Settings& next)
      : lr(next.number()),
        beta1(next.number()),
        beta2(next.number()),
        eps(next.number()),
        weight_decay(next.number()) {}
};

// What their updates share: the means, and a gradient with its sign and weight decay.
template <class C>
struct AdamMeans {
  double lr, beta1, beta2;
  C old_mean, new_mean, old_square, new_square, eps, keep, decay, sign;

  AdamMeans(const AdamSettings& s, bool decoupled, bool maximize)
      : lr(s.lr),
        beta1(s.beta1),
        beta2(s.beta2),
        old_mean(static_cast<C>(s.beta1)),
        new_mean(static_cast<C>(1 - s.beta1)),
        old_square(static_cast<C>(s.beta2)),
        new_square(static_cast<C>(1 - s.beta2)),
        eps(static_cast<C>(s.eps)),
        keep(static_cast<C>(decoupled ? 1 - s.lr * s.weight_decay : 1)),
        decay(static_cast<C>(decoupled ? 0 : s.weight_decay)),
        sign(maximize ? C(-1) : C(1)) {}

  // The parameter after decoupled decay, the gradient to go by, and the means, which it has become part of.
  struct Moments {
    C p, d, mean, square;
  };
  ATLED_HOST_DEVICE Moments renew(C* x) const {
    const C p = x[0] * keep, d = sign * x[1] + decay * p;
    x[2] = old_mean * x[2] + new_mean * d;
    x[3] = old_square * x[3] + new_square * d * d;
    return {p, d, x[2], x[3]};
  }
  // How far the means have come from the zeros that they began with, after `step` steps.
  ATLED_HOST_DEVICE double unbias1(double step) const { return 1 - std::pow(beta1, step); }
  ATLED_HOST_DEVICE double unbias2(double step) const { return 1 - std::pow(beta2, step); }
};

struct Adam : AdamSettings {
  static constexpr const char* kOp = "optim::adam_";
  static constexpr const char* kSchema =
      "optim::adam_(Tensor(a!)[] params, Tensor[] grads, Tensor(a!)[] means, Tensor(a!)[] squares, Tensor(a!)[] "
      "maxima, int[] steps, *, float lr, float beta1, float beta2, float eps, float weight_decay=0.0, bool "
      "decoupled=False, bool maximize=False, Tensor(a!)[]? counts=None) -> Tensor[]";
  static constexpr const char* kDoc =
      "One step of Adam on all tensors of a group, in place. maxima is empty without AMSGrad; steps counts from 1; "
      "decoupled is AdamW's weight decay. counts, in place of steps, has a float32 for each tensor on its device, "
      "which is increased first: a captured CUDA graph goes on counting. float16 and bfloat16 are computed in float32. "
      "Returns params.\n\n"
      ">>> w, m, v = at.tensor([1.0]), at.zeros(1), at.zeros(1)\n"
      ">>> _ = at.ops.optim.adam_([w], [at.tensor([3.0])], [m], [v], [], [1], lr=0.1, beta1=0.9, beta2=0.999, "
      "eps=1e-8)\n"
      ">>> w\n"
      "tensor([0.9000])";
  static constexpr int kStates = 3, kOptional = 1, kNumbers = 1, kCounts = 1;

  bool decoupled, maximize;
  explicit Adam(Settings next) : AdamSettings(next), decoupled(next.flag()), maximize(next.flag()) {}

  template <class C, unsigned kGiven>
  struct Update : AdamMeans<C> {
    static constexpr int kOperands = 4 + kGiven;
    struct Step {
      C size, root;
    };

    explicit Update(const Adam& s) : AdamMeans<C>(s, s.decoupled, s.maximize) {}

    ATLED_HOST_DEVICE Step at(const double* numbers) const {
      const double step = numbers[0];
      return {static_cast<C>(this->lr / this->unbias1(step)), static_cast<C>(1 / std::sqrt(this->unbias2(step)))};
    }
    ATLED_HOST_DEVICE void operator()(const Step& step, C* x) const {
      const auto now = this->renew(x);
      C square = now.square;
      if constexpr (kGiven != 0) x[4] = square = x[4] > square ? x[4] : square;
      x[0] = now.p - step.size * now.mean / (std::sqrt(square) * step.root + this->eps);
    }
  };
};

// The largest gradients, which fade, in place of the mean of squares.
struct Adamax : AdamSettings {
  static constexpr const char* kOp = "optim::adamax_";
  static constexpr const char* kSchema =
      "optim::adamax_(Tensor(a!)[] params, Tensor[] grads, Tensor(a!)[] means, Tensor(a!)[] norms, int[] steps, *, "
      "float lr, float beta1, float beta2, float eps, float weight_decay=0.0, bool maximize=False, Tensor(a!)[]? "
      "counts=None) -> Tensor[]";
  static constexpr const char* kDoc =
      "One step of Adamax on all tensors of a group, in place. steps counts from 1; counts is as in adam_. float16 and "
      "bfloat16 are computed in float32. Returns params.\n\n"
      ">>> w, m, u = at.tensor([1.0]), at.zeros(1), at.zeros(1)\n"
      ">>> _ = at.ops.optim.adamax_([w], [at.tensor([3.0])], [m], [u], [1], lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8)\n"
      ">>> w\n"
      "tensor([0.9000])";
  static constexpr int kStates = 2, kOptional = 0, kNumbers = 1, kCounts = 1;

  bool maximize;
  explicit Adamax(Settings next) : AdamSettings(next), maximize(next.flag()) {}

  template <class C, unsigned>
  struct Update : AdamMeans<C> {
    static constexpr int kOperands = 4;
    struct Step {
      C size;
    };

    explicit Update(const Adamax& s) : AdamMeans<C>(s, false, s.maximize) {}

    ATLED_HOST_DEVICE Step at(const double* numbers) const {
      return {static_cast<C>(this->lr / this->unbias1(numbers[0]))};
    }
    ATLED_HOST_DEVICE void operator()(const Step& step, C* x) const {
      const C d = this->sign * x[1] + this->decay * x[0];
      const C mean = x[2] = this->old_mean * x[2] + this->new_mean * d;
      const C faded = this->old_square * x[3], size = std::fabs(d) + this->eps;
      const C norm = x[3] = faded > size ? faded : size;
      x[0] = x[0] - step.size * mean / norm;
    }
  };
};

// Adam with Nesterov's momentum, which grows over the steps.
struct NAdam : AdamSettings {
  static constexpr const char* kOp = "optim::nadam_";
  static constexpr const char* kSchema =
      "optim::nadam_(Tensor(a!)[] params, Tensor[] grads, Tensor(a!)[] means, Tensor(a!)[] squares, int[] steps, "
      "float[] products, *, float lr, float beta1, float beta2, float eps, float weight_decay=0.0, float "
      "momentum_decay=0.004, bool decoupled=False, bool maximize=False, Tensor(a!)[]? counts=None, Tensor(a!)[]? "
      "product_counts=None) -> Tensor[]";
  static constexpr const char* kDoc =
      "One step of NAdam on all tensors of a group, in place. steps counts from 1, products are of the momenta beta1 * "
      "(1 - 0.96 ** (i * momentum_decay) / 2) of all steps i up to this one; decoupled is AdamW's weight decay. counts "
      "and product_counts, in place of steps and products, have a float32 for each tensor on its device and hold what "
      "the last step's were. float16 and bfloat16 are computed in float32. Returns params.\n\n"
      ">>> w, m, v = at.tensor([1.0]), at.zeros(1), at.zeros(1)\n"
      ">>> _ = at.ops.optim.nadam_([w], [at.tensor([3.0])], [m], [v], [1], [0.45], lr=0.1, beta1=0.9, beta2=0.999, "
      "eps=1e-8)\n"
      ">>> w\n"
      "tensor([0.8944])";
  static constexpr int kStates = 2, kOptional = 0, kNumbers = 2, kCounts = 2;

  double momentum_decay;
  bool decoupled, maximize;
  explicit NAdam(Settings next)
      : AdamSettings(next), momentum_decay(next.number()), decoupled(next.flag()), maximize(next.flag()) {}

  static ATLED_HOST_DEVICE double momentum(double beta1, double decay, double step) {
    return beta1 * (1 - 0.5 * std::pow(0.96, step * decay));
  }
  ATLED_HOST_DEVICE void advance(double* numbers) const {
    numbers[0] += 1;
    numbers[1] *= momentum(beta1, momentum_decay, numbers[0]);
  }

  template <class C, unsigned>
  struct Update : AdamMeans<C> {
    static constexpr int kOperands = 4;
    struct Step {
      C grad, mean, root;
    };

    double momentum_decay;
    explicit Update(const NAdam& s) : AdamMeans<C>(s, s.decoupled, s.maximize), momentum_decay(s.momentum_decay) {}

    ATLED_HOST_DEVICE Step at(const double* numbers) const {
      const double product = numbers[1], now = momentum(this->beta1, momentum_decay, numbers[0]);
      const double next = momentum(this->beta1, momentum_decay, numbers[0] + 1);
      return {static_cast<C>(this->lr * (1 - now) / (1 - product)),
              static_cast<C>(this->lr * next / (1 - product * next)),
              static_cast<C>(1 / std::sqrt(this->unbias2(numbers[0])))};
    }
    ATLED_HOST_DEVICE void operator()(const Step& step, C* x) const {
      const auto now = this->renew(x);
      x[0] = now.p - (step.grad * now.d + step.mean * now.mean) / (std::sqrt(now.square) * step.root + this->eps);
    }
  };
};

// Adam whose first steps, while the mean of squares says little, are those of momentum alone.
struct RAdam : AdamSettings {
  static constexpr const char* kOp = "optim::radam_";
  static constexpr const char* kSchema =
      "optim::radam_(Tensor(a!)[] params, Tensor[] grads, Tensor(a!)[] means, Tensor(a!)[] squares, int[] steps, *, "
      "float lr, float beta1, float beta2, float eps, float weight_decay=0.0, bool decoupled=False, bool "
      "maximize=False, Tensor(a!)[]? counts=None) -> Tensor[]";
  static constexpr const char* kDoc =
      "One step of RAdam on all tensors of a group, in place. steps counts from 1; decoupled is AdamW's weight decay; "
      "counts is as in adam_. float16 and bfloat16 are computed in float32. Returns params.\n\n"
      ">>> w, m, v = at.tensor([1.0]), at.zeros(1), at.zeros(1)\n"
      ">>> _ = at.ops.optim.radam_([w], [at.tensor([3.0])], [m], [v], [1], lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8)\n"
      ">>> w\n"
      "tensor([0.7000])";
  static constexpr int kStates = 2, kOptional = 0, kNumbers = 1, kCounts = 1;

  bool decoupled, maximize;
  explicit RAdam(Settings next) : AdamSettings(next), decoupled(next.flag()), maximize(next.flag()) {}

  template <class C, unsigned>
  struct Update : AdamMeans<C> {
    static constexpr int kOperands = 4;
    struct Step {
      C size;
      bool adapts;
    };

    explicit Update(const RAdam& s) : AdamMeans<C>(s, s.decoupled, s.maximize) {}

    ATLED_HOST_DEVICE Step at(const double* numbers) const {
      // The lengths of a simple mean that knows as much, at the end and now.
      const double step = numbers[0], rest = std::pow(this->beta2, step);
      const double most = 2 / (1 - this->beta2) - 1, length = most - 2 * step * rest / (1 - rest);
      const double size = this->lr / this->unbias1(step);
      if (!(length > 5)) return {static_cast<C>(size), false};
      const double rectified =
          std::sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length) * (1 - rest));
      return {static_cast<C>(size * rectified), true};
    }
    ATLED_HOST_DEVICE void operator()(const Step& step, C* x) const {
      const auto now = this->renew(x);
      const C root = std::sqrt(now.square) + this->eps;  // not as a branch: the loop is then vectorised
      x[0] = now.p - step.size * now.mean / (step.adapts ? root : C(1));
    }
  };
};

}  // namespace atled::optim
