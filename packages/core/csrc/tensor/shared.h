// Storage in memory that processes share: the mapping of a file's descriptor, which the storage owns.
#pragma once

#include "tensor/tensor.h"

namespace atled::core {

struct SharedPlace {
  int descriptor;  // stays the storage's
  int64_t nbytes;  // of the whole mapping
  int64_t offset;  // of the tensor's first element, in bytes
};

// A 1-d tensor over the whole elements in nbytes > 0 of the file. Duplicates the descriptor.
int map_shared(int descriptor, int64_t nbytes, int dtype, TensorImpl** out) noexcept;
// False for a tensor whose storage is not such a mapping.
bool find_shared(const atled_tensor* t, SharedPlace* out) noexcept;

}  // namespace atled::core
