#include "adam.h"

namespace atled::optim {
namespace {

void adam(atled_frame* f) {
  const AdamCall call(f);
  for (uint32_t i = 0; i < call.params.n; ++i) {
    const double step = call.counted() ? *data<float>(entry(call.counts, i)) += 1 : call.step(i);
    visit_float(entry(call.params, i)->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      auto run = [&](const auto& update) { apply<T>(update, update.at_step(step), f->args, i); };
      call.amsgrad() ? run(AdamUpdate<Compute<T>, true>(call)) : run(AdamUpdate<Compute<T>, false>(call));
    });
  }
  return_list(f, call.params);
}

}  // namespace

void define_adam() {
  const atled_op* op =
      define({"optim::adam_(Tensor(a!)[] params, Tensor[] grads, Tensor(a!)[] means, Tensor(a!)[] squares, "
              "Tensor(a!)[] maxima, int[] steps, *, float lr, "
              "float beta1, float beta2, float eps, float weight_decay=0.0, bool decoupled=False, bool maximize=False, "
              "Tensor(a!)[]? counts=None) -> Tensor[]",
              "One step of Adam on all tensors of a group, in place. maxima is empty without AMSGrad; steps counts "
              "from 1; decoupled is AdamW's weight decay. counts, in place of steps, has a float32 for each tensor on "
              "its device, which is increased first: a captured CUDA graph goes on counting. float16 and bfloat16 are "
              "computed in float32. Returns params."});
  add_kernel(op, ATLED_DEVICE_CPU, kernel<adam>);
  check(layer_group->skip(op, ~uint64_t{0}));
}

}  // namespace atled::optim
