// Page-locked host memory for asynchronous copies. Getting it from the driver takes as long as thousands of copies of a
// page, and giving it back may wait for the device, so what is freed is kept: in classes, four to a power of two, and
// out of reach until the copies that streams were given have passed (record says which).
//
// Thread safe; no lock is held while the driver is called.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "memory_driver.h"
#include "memory_events.h"

namespace atled::cuda {

struct PinnedStats {
  size_t allocated_bytes = 0;  // handed out
  size_t reserved_bytes = 0;   // got from the driver
  size_t allocations = 0;      // blocks that are handed out
  size_t segments = 0;         // blocks that came from the driver
  size_t host_alloc = 0;       // calls of the driver
  size_t host_free = 0;
};

class PinnedCache {
 public:
  // Any device's driver: the memory serves all of them.
  explicit PinnedCache(Driver& driver) : driver_(driver) {}
  ~PinnedCache();  // nothing may be in use; a process that ends should not
  PinnedCache(const PinnedCache&) = delete;
  PinnedCache& operator=(const PinnedCache&) = delete;

  // 0 bytes give NULL. The memory is aligned to pages.
  Status allocate(size_t nbytes, void** out);
  Status free(void* ptr);
  // A copy on this stream reads or writes the block that holds ptr. False where no block of this cache does: then the
  // copy is not asynchronous.
  bool record(const void* ptr, const StreamUse& use);
  bool contains(const void* ptr);
  Status empty_cache();
  PinnedStats stats();

 private:
  struct Block {
    char* ptr;
    size_t bytes;
    int index;  // of its class
    bool live;
    std::vector<StreamUse> uses;  // keeps its memory from one use of the block to the next
  };
  static constexpr int kClasses = 4 * 36 + 1;  // up to 2^48 bytes

  Block* holding(const void* ptr);
  void collect();
  Status give_back();

  Driver& driver_;
  std::mutex mutex_;
  std::map<const char*, std::unique_ptr<Block>> blocks_;
  std::vector<Block*> free_[kClasses];  // the last one in goes out first: its pages are in the caches
  PinnedStats stats_;
  WaitingBlocks waiting_;
};

}  // namespace atled::cuda
