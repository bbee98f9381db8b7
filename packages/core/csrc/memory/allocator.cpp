#include "memory/allocator.h"

#include <sys/mman.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "dispatch/thread_state.h"

namespace atled::core {
namespace {

// Classes: 64, 128, 192, 256, then four steps per power of two (at most 25 % slack) up to 2^46.
constexpr int kClasses = 4 + 38 * 4;
constexpr size_t kMapLimit = 1 << 20;          // blocks from here come from mmap
constexpr size_t kThreadCacheBytes = 1 << 18;  // per class

int size_class(size_t nbytes) {
  if (nbytes <= 256) return nbytes == 0 ? 0 : static_cast<int>((nbytes - 1) / 64);
  int log = 63 - __builtin_clzll(nbytes - 1);  // 2^log <= nbytes - 1 < 2^(log + 1)
  int step = static_cast<int>((nbytes - 1) >> (log - 2)) & 3;
  return 4 + (log - 8) * 4 + step;
}

size_t class_bytes(int index) {
  if (index < 4) return 64 * static_cast<size_t>(index + 1);
  int log = (index - 4) / 4 + 8, step = (index - 4) % 4;
  return (size_t{1} << log) + (static_cast<size_t>(step + 1) << (log - 2));
}

struct Free {
  Free* next;
};

struct Counters {
  std::atomic<uint64_t> live{0}, peak{0}, cached{0}, system{0}, held{0};
};
Counters counters;

// "512M" or "8G"; 0, no limit, for what is no such number.
uint64_t limit_of_environment() {
  const char* text = std::getenv("ATLED_MEMORY_LIMIT");
  if (!text) return 0;
  char* end = nullptr;
  const double number = std::strtod(text, &end);
  const char* units = "KMGT";
  const char* unit = *end ? std::strchr(units, *end) : nullptr;
  const double scale = unit ? std::ldexp(1.0, 10 * static_cast<int>(unit - units + 1)) : 1.0;
  const double bytes = number * scale;
  return bytes >= 1 && bytes < 9e18 && (!*end || (unit && !end[1])) ? static_cast<uint64_t>(bytes) : 0;
}
std::atomic<uint64_t> limit{limit_of_environment()};

void* map_block(size_t bytes) {
  void* block = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return nullptr;
#ifdef MADV_HUGEPAGE
  madvise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}

void* from_system(size_t bytes) {
  counters.system.fetch_add(1, std::memory_order_relaxed);
  const uint64_t held = counters.held.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  const uint64_t most = limit.load(std::memory_order_relaxed);
  void* block = nullptr;
  if (!most || held <= most) block = bytes < kMapLimit ? aligned_alloc(kAlignment, bytes) : map_block(bytes);
  if (!block) counters.held.fetch_sub(bytes, std::memory_order_relaxed);
  return block;
}

void to_system(void* block, size_t bytes) {
  counters.held.fetch_sub(bytes, std::memory_order_relaxed);
  if (bytes < kMapLimit)
    free(block);
  else
    munmap(block, bytes);
}

// The lists that all threads share.
class SharedCache {
 public:
  SharedCache() {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    limit_ = pages > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(page) / 4 : uint64_t{1} << 30;
  }

  void* pop(int index) {
    std::lock_guard<std::mutex> lock(mutex_);
    Free* block = lists_[index];
    if (!block) return nullptr;
    lists_[index] = block->next;
    counters.cached.fetch_sub(class_bytes(index), std::memory_order_relaxed);
    return block;
  }

  void push(void* block, int index) {
    size_t bytes = class_bytes(index);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (counters.cached.load(std::memory_order_relaxed) + bytes <= limit_) {
        lists_[index] = new (block) Free{lists_[index]};
        counters.cached.fetch_add(bytes, std::memory_order_relaxed);
        return;
      }
    }
    to_system(block, bytes);
  }

  void trim() {
    std::lock_guard<std::mutex> lock(mutex_);
    for (int i = 0; i < kClasses; ++i) {
      while (Free* block = lists_[i]) {
        lists_[i] = block->next;
        counters.cached.fetch_sub(class_bytes(i), std::memory_order_relaxed);
        to_system(block, class_bytes(i));
      }
    }
  }

  std::mutex& mutex() { return mutex_; }
  uint64_t limit() const { return limit_; }

 private:
  std::mutex mutex_;
  uint64_t limit_;
  Free* lists_[kClasses] = {};
};

SharedCache& shared() {
  static SharedCache* cache = new SharedCache;  // outlives every thread and static destructor
  return *cache;
}

}  // namespace

// One per thread; `live` and the lists need no atomics.
class ThreadCache {
 public:
  struct List {
    Free* head = nullptr;
    uint32_t count = 0;
    uint32_t capacity = 0;
  };
  static constexpr int kLists = 4 + 8 * 4;  // classes up to 64 KiB, of which each thread keeps some

  ThreadCache() {
    for (int i = 0; i < kLists; ++i) {
      size_t fit = kThreadCacheBytes / class_bytes(i);
      lists[i].capacity = static_cast<uint32_t>(fit > 256 ? 256 : fit);
    }
  }
  ~ThreadCache() { flush(); }

  void flush() {
    for (int i = 0; i < kLists; ++i) {
      while (Free* block = lists[i].head) {
        lists[i].head = block->next;
        shared().push(block, i);
      }
      lists[i].count = 0;
    }
  }

  List lists[kLists];
};

namespace {

struct CacheOwner {
  ThreadCache cache;
  ~CacheOwner() { thread_state.cache = nullptr; }
};

// NULL while the thread's storage is being torn down; then blocks use the shared lists. Not in that storage itself: of
// what is found as quickly as thread_state, a process that loads libraries late has 1664 bytes for all of them.
__attribute__((noinline)) ThreadCache* make_thread_cache() {
  static thread_local bool made = false;
  if (made) return nullptr;
  made = true;
  static thread_local const std::unique_ptr<CacheOwner> owner(new (std::nothrow) CacheOwner);
  thread_state.cache = owner ? &owner->cache : nullptr;
  return thread_state.cache;
}

inline ThreadCache* thread_cache() {
  ThreadCache* cache = thread_state.cache;
  return cache ? cache : make_thread_cache();
}

void count_live(int64_t bytes) {
  uint64_t live =
      counters.live.fetch_add(static_cast<uint64_t>(bytes), std::memory_order_relaxed) + static_cast<uint64_t>(bytes);
  uint64_t peak = counters.peak.load(std::memory_order_relaxed);
  while (live > peak && !counters.peak.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {
  }
}

void* from_shared(int index) {
  if (void* block = shared().pop(index)) return block;
  if (void* block = from_system(class_bytes(index))) return block;
  // What is kept for other sizes may be what is missing.
  trim();
  return from_system(class_bytes(index));
}

}  // namespace

void* allocate(size_t nbytes) noexcept {
  if (nbytes > (size_t{1} << 46)) return nullptr;
  int index = size_class(nbytes);
  if (index < ThreadCache::kLists) {
    if (ThreadCache* cache = thread_cache()) {
      ThreadCache::List& list = cache->lists[index];
      if (Free* block = list.head) {
        list.head = block->next;
        --list.count;
        return block;
      }
    }
    return from_shared(index);
  }
  void* block = from_shared(index);
  if (block) count_live(static_cast<int64_t>(class_bytes(index)));
  return block;
}

void deallocate(void* block, size_t nbytes) noexcept {
  if (!block) return;
  int index = size_class(nbytes);
  if (index < ThreadCache::kLists) {
    if (ThreadCache* cache = thread_cache()) {
      ThreadCache::List& list = cache->lists[index];
      if (list.count < list.capacity) {
        list.head = new (block) Free{list.head};
        ++list.count;
        return;
      }
    }
  } else {
    count_live(-static_cast<int64_t>(class_bytes(index)));
  }
  shared().push(block, index);
}

MemoryStats memory_stats() noexcept {
  return MemoryStats{counters.live.load(), counters.peak.load(), counters.cached.load(), counters.system.load(),
                     counters.held.load(), limit.load(),         shared().limit()};
}

void reset_peak() noexcept { counters.peak.store(counters.live.load()); }

void trim() noexcept {
  if (ThreadCache* cache = thread_state.cache) cache->flush();
  shared().trim();
#ifdef __GLIBC__
  malloc_trim(0);  // the C library keeps what is freed, too
#endif
}

void set_memory_limit(uint64_t bytes) noexcept { limit.store(bytes); }

void explain_refusal(int64_t nbytes, char* text, size_t size) noexcept {
  const MemoryStats stats = memory_stats();
  const auto number = [](uint64_t n) { return static_cast<unsigned long long>(n); };
  const uint64_t block = nbytes < (int64_t{1} << 46) ? class_bytes(size_class(static_cast<size_t>(nbytes))) : 0;
  if (stats.limit_bytes && stats.held_bytes + block > stats.limit_bytes)
    snprintf(text, size,
             "expected %lld bytes to fit the memory limit of %llu bytes, but %llu are held (%llu of them in large live "
             "blocks); free tensors, or raise the limit with set_memory_limit or ATLED_MEMORY_LIMIT",
             static_cast<long long>(nbytes), number(stats.limit_bytes), number(stats.held_bytes),
             number(stats.live_bytes));
  else
    snprintf(text, size,
             "expected %lld bytes of memory to be available, but the system refused them; %llu bytes are held",
             static_cast<long long>(nbytes), number(stats.held_bytes));
}

// A fork while another thread holds the lock must not leave it locked in the child.
namespace {
struct ForkGuard {
  ForkGuard() {
    pthread_atfork([] { shared().mutex().lock(); }, [] { shared().mutex().unlock(); },
                   [] { shared().mutex().unlock(); });
  }
} fork_guard;
}  // namespace

}  // namespace atled::core
