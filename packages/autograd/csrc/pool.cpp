#include "pool.h"

#include <cstdlib>
#include <memory>
#include <new>

#include "thread_state.h"

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

}  // namespace

class Pool {
 public:
  struct List {
    void* first = nullptr;
    size_t count = 0;
  };
  List lists[kClasses];

  ~Pool() {
    this_thread.pool = nullptr;
    for (List& list : lists)
      while (void* block = list.first) {
        list.first = *static_cast<void**>(block);
        free(block);
      }
  }
};

namespace {

// NULL while the thread's storage is being torn down.
__attribute__((noinline)) Pool* make_pool() {
  static thread_local bool made = false;
  if (made) return nullptr;
  made = true;
  static thread_local const std::unique_ptr<Pool> pool(new (std::nothrow) Pool);
  return this_thread.pool = pool.get();
}

Pool::List* list_of(size_t c) {
  if (c >= kClasses) return nullptr;
  Pool* pool = this_thread.pool;
  if (!pool) pool = make_pool();
  return pool ? &pool->lists[c] : nullptr;
}

}  // namespace

void* pool_allocate(size_t size) {
  const size_t c = (size - 1) / kStep;
  Pool::List* list = list_of(c);
  if (list && list->first) {
    void* block = list->first;
    list->first = *static_cast<void**>(block);
    --list->count;
    return block;
  }
  void* block = malloc(c < kClasses ? (c + 1) * kStep : size);
  if (!block) throw std::bad_alloc();
  return block;
}

void pool_free(void* block, size_t size) noexcept {
  Pool::List* list = list_of((size - 1) / kStep);
  if (!list || list->count == kKeep) {
    free(block);
    return;
  }
  *static_cast<void**>(block) = list->first;
  list->first = block;
  ++list->count;
}

#endif

}  // namespace atled::autograd
