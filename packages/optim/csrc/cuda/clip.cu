#include "atled/cuda.hpp"

namespace atled::optim {
namespace {

using namespace atled::cuda;

struct Scale {
  const float* norm;
  float max_norm;
  ATLED_HOST_DEVICE float operator()(float x) const {
    const float factor = max_norm / (*norm + 1e-6f);
    return factor < 1 ? x * factor : x;
  }
};

void scale_by_norm(atled_frame* f) {
  for (uint32_t i = 0; i < f->args[0].n; ++i) {
    atled_tensor* g = f->args[0].u.tensors[i];
    const int device = g->dl.device.device_id;
    DeviceGuard guard(device);
    map(current_stream(device), Scale{data<float>(arg_tensor(f, 1)), static_cast<float>(arg_double(f, 2))}, numel(g),
        data<float>(g), data<float>(g));
  }
  std::vector<Tensor> same;
  for (uint32_t i = 0; i < f->args[0].n; ++i) same.push_back(Tensor::borrow(f->args[0].u.tensors[i]));
  set_out_list(f, 0, same);
}

void add_clip() { cuda_kernel("optim::scale_by_norm_", kernel<scale_by_norm>); }
ATLED_CUDA_KERNELS(add_clip);

}  // namespace
}  // namespace atled::optim
