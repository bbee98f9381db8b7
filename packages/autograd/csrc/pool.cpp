#include "pool.h"

#include <cstdlib>
#include <new>

namespace atled::autograd {

namespace {

constexpr size_t kStep = 32, kClasses = 24, kKeep = 64;  // up to 768 bytes; at most kKeep blocks of each size

struct Cache {
  void* first[kClasses] = {};
  size_t count[kClasses] = {};
  bool alive = true;
  ~Cache() {
    alive = false;
    for (size_t c = 0; c < kClasses; ++c) {
      while (void* block = first[c]) {
        first[c] = *static_cast<void**>(block);
        free(block);
      }
    }
  }
};
thread_local Cache cache;

}  // namespace

void* pool_allocate(size_t size) {
  const size_t c = (size - 1) / kStep;
  if (c < kClasses && cache.first[c]) {
    void* block = cache.first[c];
    cache.first[c] = *static_cast<void**>(block);
    --cache.count[c];
    return block;
  }
  void* block = malloc(c < kClasses ? (c + 1) * kStep : size);
  if (!block) throw std::bad_alloc();
  return block;
}

void pool_free(void* block, size_t size) noexcept {
  const size_t c = (size - 1) / kStep;
  if (c >= kClasses || !cache.alive || cache.count[c] == kKeep) {
    free(block);
    return;
  }
  *static_cast<void**>(block) = cache.first[c];
  cache.first[c] = block;
  ++cache.count[c];
}

}  // namespace atled::autograd
