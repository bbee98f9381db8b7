// Writing tensors and numbers into tensors of any strides, and reading them in another layout or dtype; host memory.
#pragma once

#include <cstdint>

#include "atled/plugin.hpp"

namespace atled::core {

// An unsigned type of a given size, to move elements without knowing what they are.
struct Bytes16 {
  uint64_t low, high;
};

template <class F>
decltype(auto) visit_size(int bytes, F&& f) {
  switch (bytes) {
    case 1:
      return f(Tag<uint8_t>{});
    case 2:
      return f(Tag<uint16_t>{});
    case 4:
      return f(Tag<uint32_t>{});
    case 8:
      return f(Tag<uint64_t>{});
    default:
      return f(Tag<Bytes16>{});
  }
}

// out[...] = value, a tensor that broadcasts to out or a Python number; casts. The two must not overlap in memory.
void assign(const atled_tensor* out, const atled_value& value);
inline void assign(const atled_tensor* out, atled_tensor* source) { assign(out, value(source)); }
// Zeros everywhere.
void assign_zero(const atled_tensor* out);

// t itself where it is contiguous and of the dtype, else a copy that is.
Tensor contiguous(atled_tensor* t, int dtype);
inline Tensor contiguous(atled_tensor* t) { return contiguous(t, t->dtype); }

// True when the memory of the two may have elements in common.
bool may_overlap(const atled_tensor* a, const atled_tensor* b);

}  // namespace atled::core
