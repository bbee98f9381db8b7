// What each thread carries, but for what few programs use. Small, so that it fits the static TLS block.
#pragma once

#include <cstdint>

namespace atled::autograd {

struct Node;
class Pool;  // pool.cpp

struct ThreadState {
  Pool* pool = nullptr;               // made at the first allocation
  Node* doomed = nullptr;             // what waits for destruction while one is going on
  const Node* gradient_of = nullptr;  // see GradientOf
  uint16_t depth = 0;                 // how many function transforms are running
  bool destroying = false;
  bool recording_off = false;  // whether code switched it off, for levels further out too; a scope is of the present
                               // level alone
};

// Reached without a call: `thread_local` of another file would first ask whether it needs a constructor.
#if defined(__GNUC__) && defined(__linux__)
#define ATLED_THREAD_LOCAL __attribute__((tls_model("initial-exec"))) __thread
#else
#define ATLED_THREAD_LOCAL thread_local
#endif

extern ATLED_THREAD_LOCAL ThreadState this_thread;

}  // namespace atled::autograd
