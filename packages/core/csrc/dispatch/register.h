// How a family's file adds itself to the registry: at namespace scope, ATLED_OPS(define_arithmetic) in csrc/ops and
// ATLED_KERNELS(add_arithmetic) in csrc/cpu. All ops are defined before the first kernel is added.
#pragma once

#include "atled/plugin.hpp"

namespace atled::core {

using Registration = void (*)();

struct RegisterOps {
  RegisterOps(Registration run, const char* family);
};
struct RegisterKernels {
  RegisterKernels(Registration run, const char* family);
};

// A second name for an op, in the same namespace or another, to be called after the op's definition:
// alias("core::abs", "core::absolute"). Names in core are functions of atled.core and, where that makes sense, methods.
void alias(const char* op, const char* other_name);

}  // namespace atled::core

#define ATLED_OPS(run) \
  static const ::atled::core::RegisterOps run##_registered { run, #run }
#define ATLED_KERNELS(run) \
  static const ::atled::core::RegisterKernels run##_registered { run, #run }
