#include "pool.h"

#include <cstdlib>
#include <new>

namespace atled::autograd {

// The sanitizer has to see every block come and go.
#if defined(__SANITIZE_ADDRESS__)
#define ATLED_NO_POOL
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ATLED_NO_POOL
#endif
#endif

#if defined(ATLED_NO_POOL)

void* pool_allocate(size_t size) {
  void* block = malloc(size);
  if (!block) throw std::bad_alloc();
  return block;
}
void pool_free(void* block, size_t) noexcept { free(block); }

#else

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

#endif

}  // namespace atled::autograd
