// Adam (Kingma & Ba 2015, algorithm 1), AMSGrad (Reddi et al. 2018) and the decoupled weight decay of AdamW (Loshchilov
// & Hutter 2019).
#include <cmath>

#include "lists.h"

namespace atled::optim {
namespace {

struct Settings {
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled, maximize, amsgrad;
};

template <class T, bool kAmsgrad>
void update(const Settings& s, double step, T* const* at, int64_t n) {
  using C = Compute<T>;
  T *p = at[0], *m = at[2], *v = at[3], *top = kAmsgrad ? at[4] : nullptr;
  const T* g = at[1];
  const C beta1 = static_cast<C>(s.beta1), beta2 = static_cast<C>(s.beta2), one_beta1 = static_cast<C>(1 - s.beta1),
          one_beta2 = static_cast<C>(1 - s.beta2);
  const C correction2 = static_cast<C>(1 / std::sqrt(1 - std::pow(s.beta2, step)));
  const C size = static_cast<C>(s.lr / (1 - std::pow(s.beta1, step))), eps = static_cast<C>(s.eps);
  const C keep = static_cast<C>(s.decoupled ? 1 - s.lr * s.weight_decay : 1),
          decay = static_cast<C>(s.decoupled ? 0 : s.weight_decay);
  const C sign = s.maximize ? C(-1) : C(1);
  for (int64_t i = 0; i < n; ++i) {
    const C x = C(p[i]) * keep;
    const C d = sign * C(g[i]) + decay * x;
    const C mean = beta1 * C(m[i]) + one_beta1 * d;
    const C square = beta2 * C(v[i]) + one_beta2 * d * d;
    m[i] = T(mean);
    v[i] = T(square);
    C used = square;
    if constexpr (kAmsgrad) {
      used = C(top[i]) > square ? C(top[i]) : square;
      top[i] = T(used);
    }
    p[i] = T(x - size * mean / (std::sqrt(used) * correction2 + eps));
  }
}

void adam(atled_frame* f) {
  Tensors params = f->args[0], grads = f->args[1], means = f->args[2], squares = f->args[3], tops = f->args[4];
  const atled_value& steps = f->args[5];
  const Settings s{arg_double(f, 6),  arg_double(f, 7), arg_double(f, 8), arg_double(f, 9),
                   arg_double(f, 10), arg_bool(f, 11),  arg_bool(f, 12),  tops.n > 0};
  check_params(params);
  check_list("grads", grads, params);
  check_list("means", means, params);
  check_list("squares", squares, params);
  if (s.amsgrad) check_list("maxima", tops, params);
  if (steps.n != params.n) fail(ATLED_E_ARGUMENT, "expected as many steps as params (%u), got %u", params.n, steps.n);
  for (uint32_t i = 0; i < params.n; ++i) {
    if (steps.u.ints[i] < 1)
      fail(ATLED_E_VALUE, "expected steps >= 1, got %lld", static_cast<long long>(steps.u.ints[i]));
    atled_tensor* list[5] = {entry(params, i), entry(grads, i), entry(means, i), entry(squares, i),
                             s.amsgrad ? entry(tops, i) : nullptr};
    const int n = s.amsgrad ? 5 : 4;
    const double step = static_cast<double>(steps.u.ints[i]);
    visit_floating(list[0]->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      walk<T>(list, n, [&](T* const* at, int64_t count) {
        s.amsgrad ? update<T, true>(s, step, at, count) : update<T, false>(s, step, at, count);
      });
    });
  }
  return_list(f, params);
}

}  // namespace

void define_adam() {
  const atled_op* op =
      define({"optim::adam_(Tensor(a!)[] params, Tensor[] grads, Tensor(a!)[] means, Tensor(a!)[] squares, "
              "Tensor(a!)[] maxima, int[] steps, *, float lr, "
              "float beta1, float beta2, float eps, float weight_decay=0.0, bool decoupled=False, bool maximize=False) "
              "-> Tensor[]",
              "One step of Adam on all tensors of a group, in place. maxima is empty without AMSGrad; steps counts "
              "from 1; decoupled is "
              "AdamW's weight decay. float16 and bfloat16 are computed in float32. Returns params."});
  add_kernel(op, ATLED_DEVICE_CPU, kernel<adam>);
  check(layer_group->skip(op, ~uint64_t{0}));
}

}  // namespace atled::optim
