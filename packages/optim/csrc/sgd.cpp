#include "sgd.h"

namespace atled::optim {
namespace {

void sgd(atled_frame* f) {
  const SgdCall call(f);
  for (uint32_t i = 0; i < call.params.n; ++i) {
    visit_float(entry(call.params, i)->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      using C = Compute<T>;
      call.has_buffers() ? apply<T>(SgdUpdate<C, true>(call), {}, f->args, i)
                         : apply<T>(SgdUpdate<C, false>(call), {}, f->args, i);
    });
  }
  return_list(f, call.params);
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
