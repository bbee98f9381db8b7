// Adam (Kingma & Ba 2015, algorithm 1), AMSGrad (Reddi et al. 2018) and the decoupled weight decay of AdamW (Loshchilov
// & Hutter 2019).
#pragma once

#include <cmath>

#include "lists.h"

namespace atled::optim {

// The arguments of optim::adam_, checked.
struct AdamCall {
  Tensors params, grads, means, squares, maxima, steps;
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled, maximize;
  Tensors counts;

  explicit AdamCall(const atled_frame* f)
      : params(f->args[0]),
        grads(f->args[1]),
        means(f->args[2]),
        squares(f->args[3]),
        maxima(f->args[4]),
        steps(f->args[5]),
        lr(arg_double(f, 6)),
        beta1(arg_double(f, 7)),
        beta2(arg_double(f, 8)),
        eps(arg_double(f, 9)),
        weight_decay(arg_double(f, 10)),
        decoupled(arg_bool(f, 11)),
        maximize(arg_bool(f, 12)),
        counts(f->args[13]) {
    check_params(params);
    check_list("grads", grads, params);
    check_list("means", means, params);
    check_list("squares", squares, params);
    if (amsgrad()) check_list("maxima", maxima, params);
    if (counted()) {
      check_counts();
    } else {
      if (steps.n != params.n)
        fail(ATLED_E_ARGUMENT, "expected as many steps as params (%u), got %u", params.n, steps.n);
      for (uint32_t i = 0; i < steps.n; ++i)
        if (steps.u.ints[i] < 1)
          fail(ATLED_E_VALUE, "expected steps >= 1, got %lld", static_cast<long long>(steps.u.ints[i]));
    }
  }
  bool amsgrad() const { return maxima.n > 0; }
  bool counted() const { return counts.tag == ATLED_TENSORS; }
  double step(uint32_t i) const { return static_cast<double>(steps.u.ints[i]); }

 private:
  void check_counts() const {
    if (steps.n != 0) fail(ATLED_E_ARGUMENT, "expected no steps beside counts, got %u", steps.n);
    if (counts.n != params.n)
      fail(ATLED_E_ARGUMENT, "expected as many counts as params (%u), got %u", params.n, counts.n);
    for (uint32_t i = 0; i < counts.n; ++i) {
      const atled_tensor* count = entry(counts, i);
      if (count->dtype != ATLED_FLOAT32 || numel(count) != 1)
        fail(ATLED_E_ARGUMENT, "expected counts[%u] to be one float32, got %s of shape %s", i, dtype_name(count->dtype),
             shape_text(count).c_str());
    }
  }
};

// One element's step: of the parameter, its gradient, the means of the gradient and of its square, and that one's
// largest so far.
template <class C, bool kAmsgrad>
struct AdamUpdate {
  static constexpr int kOperands = kAmsgrad ? 5 : 4;
  struct Step {  // what differs from tensor to tensor
    C size, root;
    const float* count;  // the step's number on the device, where it is not known yet
  };

  double lr, beta1, beta2;
  C old_mean, new_mean, old_square, new_square, eps, keep, decay, sign;

  explicit AdamUpdate(const AdamCall& s)
      : lr(s.lr),
        beta1(s.beta1),
        beta2(s.beta2),
        old_mean(static_cast<C>(s.beta1)),
        new_mean(static_cast<C>(1 - s.beta1)),
        old_square(static_cast<C>(s.beta2)),
        new_square(static_cast<C>(1 - s.beta2)),
        eps(static_cast<C>(s.eps)),
        keep(static_cast<C>(s.decoupled ? 1 - s.lr * s.weight_decay : 1)),
        decay(static_cast<C>(s.decoupled ? 0 : s.weight_decay)),
        sign(s.maximize ? C(-1) : C(1)) {}

  // The corrections of the means' bias at a step, from 1 on.
  ATLED_HOST_DEVICE Step at_step(double step) const {
    return {static_cast<C>(lr / (1 - std::pow(beta1, step))), static_cast<C>(1 / std::sqrt(1 - std::pow(beta2, step))),
            nullptr};
  }
  ATLED_HOST_DEVICE Step settled(const Step& step) const { return step.count ? at_step(*step.count) : step; }
  ATLED_HOST_DEVICE void operator()(const Step& step, C* x) const {
    const C p = x[0] * keep;
    const C d = sign * x[1] + decay * p;
    const C mean = x[2] = old_mean * x[2] + new_mean * d;
    const C square = x[3] = old_square * x[3] + new_square * d * d;
    C used = square;
    if constexpr (kAmsgrad) x[4] = used = x[4] > square ? x[4] : square;
    x[0] = p - step.size * mean / (std::sqrt(used) * step.root + eps);
  }
};

}  // namespace atled::optim
