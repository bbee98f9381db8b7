#include "multi_tensor.cuh"
#include "sgd.h"

namespace atled::optim {
namespace {

void sgd(atled_frame* f) {
  const SgdCall call(f);
  const int device = device_of(call.params).device_id;
  DeviceGuard guard(device);
  const Copies copies(f->args, call.has_buffers() ? 3 : 2, true);
  each_type(call.params, [&](auto tag) {
    using T = typename decltype(tag)::type;
    auto run = [&](const auto& update) {
      using Step = typename std::decay_t<decltype(update)>::Step;
      update_all<T>(update, f->args, copies, current_stream(device), [](uint32_t) { return Step{}; });
    };
    call.has_buffers() ? run(SgdUpdate<Compute<T>, true>(call)) : run(SgdUpdate<Compute<T>, false>(call));
  });
  copies.put_back();
  return_list(f, call.params);
}

void add_sgd() { cuda_kernel("optim::sgd_", kernel<sgd>); }
ATLED_CUDA_KERNELS(add_sgd);

}  // namespace
}  // namespace atled::optim
