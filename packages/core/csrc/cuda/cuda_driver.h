// The Driver of a real device, over the CUDA runtime. The driver API's functions for virtual memory are looked up
// through the runtime, so that nothing links to the driver's library and the plugin loads where there is none.
#pragma once

#include <memory>

#include "memory_driver.h"

namespace atled::cuda {

// Answers NULL, and why in *status, where the device cannot be used. Nothing it makes outlives the driver object.
std::unique_ptr<Driver> make_cuda_driver(int device, Status* status);

}  // namespace atled::cuda
