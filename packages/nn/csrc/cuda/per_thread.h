// What only one thread at a time may use.
#pragma once

#include <mutex>
#include <vector>

#include "atled/plugin.hpp"

namespace atled::nn {

// A T of the calling thread for a device. It is made as T(), and left to other threads when the thread ends; it is
// never destroyed, for at the end of the process the driver may be gone. Any thread may call it; DeviceError for a
// device beyond the most.
template <class T>
T& per_thread(int device) {
  constexpr int kMostDevices = 64;
  struct Idle {
    std::mutex mutex;
    std::vector<T*> of[kMostDevices];
  };
  static auto* const idle = new Idle;
  struct Taken {
    T* of[kMostDevices] = {};
    ~Taken() {
      std::lock_guard<std::mutex> lock(idle->mutex);
      for (int i = 0; i < kMostDevices; ++i)
        if (of[i]) idle->of[i].push_back(of[i]);
    }
  };
  static thread_local Taken taken;
  if (device < 0 || device >= kMostDevices)
    fail(ATLED_E_DEVICE, "cuda: expected a device index in [0, %d), got %d", kMostDevices, device);
  T*& own = taken.of[device];
  if (!own) {
    std::lock_guard<std::mutex> lock(idle->mutex);
    std::vector<T*>& list = idle->of[device];
    if (!list.empty()) {
      own = list.back();
      list.pop_back();
    }
  }
  if (!own) own = new T();
  return *own;
}

}  // namespace atled::nn
