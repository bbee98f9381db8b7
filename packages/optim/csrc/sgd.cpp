// Stochastic gradient descent with momentum (Sutskever et al. 2013, in the form that PyTorch gives it).
#include "lists.h"

namespace atled::optim {
namespace {

struct Settings {
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize;
};

template <class T>
void update(const Settings& s, bool has_buffer, bool first, T* const* at, int64_t n) {
  using C = Compute<T>;
  T *p = at[0], *buffer = at[2];
  const T* g = at[1];
  const C lr = static_cast<C>(s.lr), mu = static_cast<C>(s.momentum), undamped = static_cast<C>(1 - s.dampening);
  const C decay = static_cast<C>(s.weight_decay), sign = s.maximize ? C(-1) : C(1);
  if (!has_buffer) {
    for (int64_t i = 0; i < n; ++i) p[i] = T(C(p[i]) - lr * (sign * C(g[i]) + decay * C(p[i])));
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const C d = sign * C(g[i]) + decay * C(p[i]);
    const C b = first ? d : mu * C(buffer[i]) + undamped * d;
    buffer[i] = T(b);
    p[i] = T(C(p[i]) - lr * (s.nesterov ? d + mu * b : b));
  }
}

void sgd(atled_frame* f) {
  Tensors params = f->args[0], grads = f->args[1], buffers = f->args[2];
  const Settings s{arg_double(f, 4), arg_double(f, 5), arg_double(f, 6),
                   arg_double(f, 7), arg_bool(f, 8),   arg_bool(f, 9)};
  const bool first = arg_bool(f, 3), momentum = buffers.n > 0;
  check_params(params);
  check_list("grads", grads, params);
  if (momentum) check_list("buffers", buffers, params);
  for (uint32_t i = 0; i < params.n; ++i) {
    atled_tensor* list[3] = {entry(params, i), entry(grads, i), momentum ? entry(buffers, i) : nullptr};
    visit_floating(list[0]->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      walk<T>(list, momentum ? 3 : 2, [&](T* const* at, int64_t n) {
        T* streams[3] = {at[0], at[1], momentum ? at[2] : nullptr};
        update<T>(s, momentum, first, streams, n);
      });
    });
  }
  return_list(f, params);
}

}  // namespace

void define_sgd() {
  const atled_op* op =
      define({"optim::sgd_(Tensor(a!)[] params, Tensor[] grads, Tensor(a!)[] buffers, bool first, *, float lr, float "
              "momentum=0.0, "
              "float dampening=0.0, float weight_decay=0.0, bool nesterov=False, bool maximize=False) -> Tensor[]",
              "One step of SGD on all tensors of a group, in place. buffers is empty without momentum; first says that "
              "they hold "
              "nothing yet. float16 and bfloat16 are computed in float32. Returns params."});
  add_kernel(op, ATLED_DEVICE_CPU, kernel<sgd>);
  check(layer_group->skip(op, ~uint64_t{0}));  // an optimizer's step is not part of what is differentiated
}

}  // namespace atled::optim
