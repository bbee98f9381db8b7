// The library's entry: adds the device, then every family's kernels.
#include "cuda/graph.h"
#include "cuda/runtime.h"
#include "functors/stream.h"
#include "tensor/dtype.h"

namespace atled::core {

// Core's setting, seen through the public table: the dtype of a number that stands alone.
int default_dtype() {
  static const Op scalar_tensor{"core::scalar_tensor"};
  const Tensor number =
      scalar_tensor(0.5, none(), device_value(DLDevice{static_cast<DLDeviceType>(ATLED_DEVICE_META), 0}));
  return number->dtype;
}

namespace cuda {

namespace {
void init() {
  add_device_table();
  publish_group();
  before_draw = refuse_in_capture;
  atled::cuda::register_kernels();
}
}  // namespace

}  // namespace cuda
}  // namespace atled::core

ATLED_PLUGIN("atled-core", ATLED_CORE_VERSION, atled::core::cuda::init)
