// What each thread carries: layer words, error state, allocator cache. Small, so that it fits the static TLS block.
#pragma once

#include <cstdint>
#include <string>

#include "atled/abi.h"

namespace atled::core {

struct ErrorState {
  int32_t kind = 0;
  std::string message;
  std::string op;          // that was called
  std::string inner;       // that failed, where that is another, which op called
  void* python = nullptr;  // owned reference, dropped through drop_python_error
};

class ThreadCache;   // csrc/memory/allocator.cpp
class FusionRegion;  // csrc/cpu/fusion.h
class Deferral;

struct ThreadState {
  uint64_t include = 0;
  uint64_t exclude = 0;
  ErrorState* error = nullptr;     // made at the first error
  ThreadCache* cache = nullptr;    // made at the first allocation
  DLDevice device{kDLCPU, 0};      // of what is made from no tensor
  bool non_blocking = false;       // copies between devices may go on when the call has returned
  FusionRegion* region = nullptr;  // where element-wise calls are put off (dispatch/fusion.h)
  Deferral* deferral = nullptr;    // while a kernel is asked what it would run
  bool unfused = false;            // nothing is put off, whatever the region
};

// Reached without a call: `thread_local` of another file would first ask whether it needs a constructor.
#if defined(__GNUC__) && defined(__linux__)
#define ATLED_THREAD_LOCAL __attribute__((tls_model("initial-exec"))) __thread
#else
#define ATLED_THREAD_LOCAL thread_local
#endif

extern ATLED_THREAD_LOCAL ThreadState thread_state;

}  // namespace atled::core
