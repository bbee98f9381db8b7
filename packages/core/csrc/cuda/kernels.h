// How a family's file adds its kernels: at namespace scope, ATLED_CUDA_KERNELS(add_arithmetic).
#pragma once

#include "atled/plugin.hpp"

namespace atled::core::cuda {

using Registration = void (*)();

struct RegisterKernels {
  explicit RegisterKernels(Registration add);
};

inline void cuda_kernel(const char* op, atled_kernel run, const void* ctx = nullptr) {
  add_kernel(op, kDLCUDA, run, const_cast<void*>(ctx));
}

}  // namespace atled::core::cuda

#define ATLED_CUDA_KERNELS(add) \
  static const ::atled::core::cuda::RegisterKernels add##_registered { add }
