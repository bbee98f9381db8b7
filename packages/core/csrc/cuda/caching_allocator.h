// The stream-ordered caching allocator of one device.
//
// A block belongs to the stream that it was allocated for. Freed, it can be handed out on that stream at once, since
// what the stream still has to do comes before what it will be given; where other streams used it, record_stream must
// have said so, and it waits for events on them. Blocks of up to 1 MiB and larger ones live apart, each stream has its
// own of both, and memory goes back to the driver only when it is short, or asked for by empty_cache.
//
// Thread safe. mutex_ guards blocks and statistics, is held for some ten nanoseconds and never while the driver is
// called. Whoever gets memory from the driver or gives it back holds growth_, whoever records events recording_; the
// order is growth_, recording_, mutex_. In the steady state the driver is called for events only.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "memory_blocks.h"
#include "memory_driver.h"
#include "memory_events.h"
#include "memory_report.h"
#include "memory_site.h"
#include "memory_stats.h"

namespace atled::cuda {

struct AllocatorOptions {
  size_t limit = 0;        // bytes that may be reserved at most; 0: what the device has
  bool expandable = true;  // expandable segments, where the driver has virtual memory
  SiteCallbacks sites;
};

using PoolId = uint64_t;

struct PoolGroup;

// The memory of one stream, for small or for large blocks.
struct StreamPool {
  PoolGroup* group;
  Stream stream;
  bool small;
  FreeBlocks free;
  std::vector<Segment*> expandable;
};

// The general pool, or a private one, whose memory stays its own while there are references.
struct PoolGroup {
  PoolId id;
  size_t references;
  size_t segments = 0;
  AddressTable<StreamPool*> pools[2];  // large, small; by stream
  std::vector<std::unique_ptr<StreamPool>> owned;
};

// What goes to a private pool while it is in use.
struct PoolUse {
  std::function<bool(Stream)> takes;  // called with a lock held: must not allocate; empty: every stream
  bool capturing = true;              // a graph is being captured: no events, no waiting, nothing is given back
};

class CachingAllocator {
 public:
  static constexpr size_t kSmallLimit = size_t{1} << 20;    // the largest block of the small pools
  static constexpr size_t kSmallSegment = size_t{2} << 20;  // of ordinary segments
  static constexpr size_t kLargeSegment = size_t{20} << 20;
  static constexpr size_t kSegmentUnit = size_t{2} << 20;  // segments above kLargeSegment / 2 are multiples of it
  static constexpr size_t kMostMapped = size_t{32} << 20;  // of a chunk: what can be given back only as a whole

  CachingAllocator(int device, Driver& driver, const AllocatorOptions& options = {});
  // Gives all memory back. A process that ends should not: the driver may be gone by then.
  ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  // 0 bytes give NULL. kExhausted comes with the text of an out-of-memory error.
  Status allocate(size_t nbytes, Stream stream, void** out);
  // kFailed for what is no live allocation. NULL is fine.
  Status free(void* ptr);
  // `stream` (of the device behind `of`, by default this one) uses the allocation that holds ptr, or will before it is
  // freed.
  Status record_stream(const void* ptr, Stream stream, Driver* of = nullptr);
  // To be called before a stream is destroyed: waits for the device. Another stream may get the same handle.
  Status release_stream(Stream stream);
  // Gives what is unused back to the driver; waits for the device. kFailed while a graph is being captured.
  Status empty_cache();

  void set_limit(size_t bytes);  // 0 for none; what is reserved already stays
  Status set_memory_fraction(double fraction);

  // Private pools. A new one has one reference. In use, it serves the streams that it takes; once it has no more
  // references, its unused memory can be given back. Its live blocks stay valid until they are freed.
  PoolId create_pool();
  Status retain_pool(PoolId id);
  Status release_pool(PoolId id);
  Status begin_allocate_to_pool(PoolId id, PoolUse use);
  Status end_allocate_to_pool(PoolId id);

  MemoryStats stats();
  void reset_peak_stats();
  void reset_accumulated_stats();
  Snapshot snapshot();
  void record_history(size_t entries);  // keeps the last so many events; 0 ends it and drops them

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Route {
    PoolGroup* group;
    PoolUse use;
  };

  // caching_allocator.cpp
  StreamPool* pool_of(Stream stream, bool small);
  Block* containing(const void* ptr);
  void count_split(const Block* block, bool more);
  void list(Block* block);
  void unlist(Block* block);
  Block* take(StreamPool& pool, size_t bytes);
  Block* cut(Block* block, size_t bytes);
  void absorb_next(Block* block);
  void put_back(Block* block);
  void hand_out(Block* block, size_t bytes, size_t requested, Site site);
  Status wait_for_streams(Block* block);
  Status collect(bool wait);
  Status find_memory(size_t bytes, Stream stream, Block** out);
  PoolGroup* group_of(PoolId id);

  // caching_growth.cpp: growth_ is held
  Status grow(StreamPool& pool, size_t bytes, Lock& lock, Block** out);
  Status grow_plain(StreamPool& pool, size_t bytes, Lock& lock, Block** out);
  Status reserve_segment(StreamPool& pool, size_t bytes, Lock& lock, Block** out);
  Status map_memory(Block* hole, size_t bytes, Lock& lock, Block** out);
  Status unmap(Segment* segment, char* at, size_t bytes);
  Status release_unused(size_t need, size_t* released);
  Block* unused_chunks(Block* block);
  void make_hole(Block* block);
  void drop_empty_groups();
  bool admits(size_t bytes) const { return !limit_ || reserved_ + bytes <= limit_; }

  // caching_inspect.cpp
  Status out_of_memory(size_t nbytes, Stream stream);
  void note(Action action, const void* address, size_t bytes, Stream stream, Site site = Site()) {
    if (history_size_.load(std::memory_order_relaxed)) return add_to_history(action, address, bytes, stream, site);
    retire(site);
  }
  void add_to_history(Action action, const void* address, size_t bytes, Stream stream, Site site);
  Site take_site() const { return sites_.take ? sites_.take() : Site(); }
  void retire(Site site) {
    if (site.known()) retired_.push_back(site);
  }
  void leave(Lock& lock);

  const int device_;
  Driver& driver_;
  const SiteCallbacks sites_;
  size_t granularity_ = 0;  // of expandable segments; 0 for ordinary ones
  size_t total_ = 0;        // memory of the device

  std::mutex growth_;
  std::mutex recording_;
  std::mutex mutex_;
  BlockSlabs blocks_;
  AddressTable<Block*> live_;
  std::map<char*, std::unique_ptr<Segment>> segments_;
  std::map<PoolId, std::unique_ptr<PoolGroup>> groups_;
  PoolGroup* general_;
  PoolId next_pool_ = 1;
  std::vector<Route> routes_;
  std::vector<Block*> deferred_;  // freed during a capture: their events are recorded after it
  size_t limit_;
  size_t reserved_ = 0;
  uint64_t clock_ = 0;
  MemoryStats stats_;
  WaitingBlocks waiting_;
  std::atomic<uint32_t> polls_{0};
  std::atomic<int> capturing_{0};

  std::vector<Site> retired_;          // to be released without a lock, once nobody is making their texts
  int readers_ = 0;                    // who makes texts of sites
  std::vector<HistoryEntry> history_;  // a ring
  size_t history_at_ = 0;
  std::atomic<size_t> history_size_{0};
};

}  // namespace atled::cuda
