// Room for a kernel's intermediate elements from the caching allocator, uninitialised: a vector would write zeros into
// it first, on one thread.
#pragma once

#include <cstdint>
#include <type_traits>

#include "atled/plugin.hpp"
#include "memory/allocator.h"

namespace atled::core {

template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t n) : bytes_(static_cast<size_t>(n) * sizeof(T)), data_(static_cast<T*>(allocate(bytes_))) {
    static_assert(std::is_trivially_destructible_v<T>);
    if (!data_) fail(ATLED_E_MEMORY, "expected %zu bytes for intermediate results, got none", bytes_);
  }
  ~Scratch() { deallocate(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() { return data_; }
  T& operator[](int64_t i) { return data_[i]; }

 private:
  size_t bytes_;
  T* data_;
};

}  // namespace atled::core
