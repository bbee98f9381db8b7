// Rprop (Riedmiller & Braun 1993; the form that does not go back, Igel & Huesken 2000, section 2.3), and averaged
// stochastic gradient descent (Polyak & Juditsky 1992).
#pragma once

#include "step.h"

namespace atled::optim {

struct Rprop : Counting {
  static constexpr const char* kOp = "optim::rprop_";
  static constexpr const char* kSchema =
      "optim::rprop_(Tensor(a!)[] params, Tensor[] grads, Tensor(a!)[] previous, Tensor(a!)[] sizes, *, float shrink, "
      "float grow, float smallest, float largest, bool maximize=False, Tensor(a!)[]? counts=None) -> Tensor[]";
  static constexpr const char* kDoc =
      "One step of Rprop on all tensors of a group, in place. Each element goes by its own of sizes against its "
      "gradient's sign: it grows while the sign is that of previous, which takes over the gradient, and shrinks where "
      "it is another. counts has a float32 for each tensor, which is increased. float16 and bfloat16 are computed in "
      "float32. Returns params.\n\n"
      ">>> w, g, s = at.tensor([1.0]), at.zeros(1), at.tensor([0.25])\n"
      ">>> _ = at.ops.optim.rprop_([w], [at.tensor([3.0])], [g], [s], shrink=0.5, grow=1.2, smallest=1e-6, "
      "largest=50.0)\n"
      ">>> w\n"
      "tensor([0.7500])";
  static constexpr int kStates = 2, kOptional = 0, kNumbers = 0, kCounts = 1;

  double shrink, grow, smallest, largest;
  bool maximize;
  explicit Rprop(Settings next)
      : shrink(next.number()),
        grow(next.number()),
        smallest(next.number()),
        largest(next.number()),
        maximize(next.flag()) {}

  template <class C, unsigned>
  struct Update {
    static constexpr int kOperands = 4;
    struct Step {};

    C shrink, grow, smallest, largest, sign;
    explicit Update(const Rprop& s)
        : shrink(static_cast<C>(s.shrink)),
          grow(static_cast<C>(s.grow)),
          smallest(static_cast<C>(s.smallest)),
          largest(static_cast<C>(s.largest)),
          sign(s.maximize ? C(-1) : C(1)) {}

    ATLED_HOST_DEVICE Step at(const double*) const { return {}; }
    ATLED_HOST_DEVICE void operator()(const Step&, C* x) const {
      const C d = sign * x[1], same = d * x[2];
      C size = x[3] * (same > 0 ? grow : same < 0 ? shrink : C(1));
      size = size < smallest ? smallest : size > largest ? largest : size;
      const C used = same < 0 ? C(0) : d;
      x[0] = x[0] - (used > 0 ? size : used < 0 ? -size : C(0));
      x[2] = used;
      x[3] = size;
    }
  };
};

struct Asgd {
  static constexpr const char* kOp = "optim::asgd_";
  static constexpr const char* kSchema =
      "optim::asgd_(Tensor(a!)[] params, Tensor[] grads, Tensor(a!)[] averages, float[] etas, float[] mus, *, float "
      "lambd, float weight_decay=0.0, bool maximize=False, Tensor(a!)[]? eta_counts=None, Tensor(a!)[]? "
      "mu_counts=None) -> Tensor[]";
  static constexpr const char* kDoc =
      "One step of averaged SGD on all tensors of a group, in place: of size etas, with params drawn to zero by lambd; "
      "averages come nearer to params by mus. eta_counts and mu_counts, in place of these, have a float32 for each "
      "tensor on its device. float16 and bfloat16 are computed in float32. Returns params.\n\n"
      ">>> w, mean = at.tensor([1.0]), at.zeros(1)\n"
      ">>> _ = at.ops.optim.asgd_([w], [at.tensor([3.0])], [mean], [0.25], [1.0], lambd=0.0)\n"
      ">>> w\n"
      "tensor([0.2500])";
  static constexpr int kStates = 1, kOptional = 0, kNumbers = 2, kCounts = 2;

  double lambd, weight_decay;
  bool maximize;
  explicit Asgd(Settings next) : lambd(next.number()), weight_decay(next.number()), maximize(next.flag()) {}
  ATLED_HOST_DEVICE void advance(double*) const {}  // they are this step's already

  template <class C, unsigned>
  struct Update {
    static constexpr int kOperands = 3;
    struct Step {
      C eta, mu, keep;
    };

    double lambd;
    C decay, sign;
    explicit Update(const Asgd& s)
        : lambd(s.lambd), decay(static_cast<C>(s.weight_decay)), sign(s.maximize ? C(-1) : C(1)) {}

    ATLED_HOST_DEVICE Step at(const double* numbers) const {
      return {static_cast<C>(numbers[0]), static_cast<C>(numbers[1]), static_cast<C>(1 - lambd * numbers[0])};
    }
    ATLED_HOST_DEVICE void operator()(const Step& step, C* x) const {
      const C d = sign * x[1] + decay * x[0];
      const C p = x[0] = x[0] * step.keep - step.eta * d;
      x[2] = step.mu == 1 ? p : x[2] + step.mu * (p - x[2]);
    }
  };
};

}  // namespace atled::optim
