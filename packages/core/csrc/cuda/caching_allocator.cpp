#include "caching_allocator.h"

#include <algorithm>
#include <cassert>
#include <cstdio>
#include <new>

namespace atled::cuda {
namespace {

// How many allocations share one look at the events: a query costs more than the rest of an allocation, and memory that
// comes back a few allocations later is not missed. Before the allocator grows, it always looks.
constexpr uint32_t kPollEvery = 8;
constexpr size_t kMost = size_t{1} << 48;

Status unknown_pointer(const char* what, const void* ptr) {
  char text[128];
  snprintf(text, sizeof text, "%s: expected a live allocation of this device, got %p", what, ptr);
  return {Status::kFailed, text};
}

Status unknown_pool(PoolId id) {
  return {Status::kFailed, "expected a memory pool that exists, got " + std::to_string(id)};
}

}  // namespace

CachingAllocator::CachingAllocator(int device, Driver& driver, const AllocatorOptions& options)
    : device_(device), driver_(driver), sites_(options.sites), limit_(options.limit) {
  size_t free = 0;
  if (!driver.memory_info(&free, &total_)) total_ = 0;  // the first allocation meets the error itself
  if (options.expandable && total_) granularity_ = driver.granularity();
  general_ = (groups_[0] = std::make_unique<PoolGroup>()).get();
  general_->id = 0;
  general_->references = 1;
}

CachingAllocator::~CachingAllocator() {
  (void)driver_.synchronize();
  for (auto& [base, segment] : segments_) {
    if (!segment->expandable) {
      (void)driver_.release(base);
      continue;
    }
    for (size_t i = 0; i < segment->mappings.size(); i += std::max<size_t>(segment->mappings[i].run, 1)) {
      const Segment::Mapping& mapping = segment->mappings[i];
      if (mapping.run) (void)driver_.unmap(base + i * granularity_, mapping.run * granularity_, mapping.chunk);
    }
    (void)driver_.unreserve(base, segment->bytes);
  }
  if (!sites_.release) return;
  live_.each([&](Block* block) {
    if (block->site.known()) sites_.release(block->site);
  });
  for (const HistoryEntry& entry : history_)
    if (entry.site.known()) sites_.release(entry.site);
  for (Site site : retired_) sites_.release(site);
}

StreamPool* CachingAllocator::pool_of(Stream stream, bool small) {
  PoolGroup* group = general_;
  for (const Route& route : routes_)
    if (!route.use.takes || route.use.takes(stream)) {
      group = route.group;
      break;
    }
  if (StreamPool** found = group->pools[small].find(stream)) return *found;
  group->owned.push_back(std::make_unique<StreamPool>());
  StreamPool* pool = group->owned.back().get();
  pool->group = group;
  pool->stream = stream;
  pool->small = small;
  group->pools[small].insert(stream, pool);
  return pool;
}

// The live block that an address lies in, for views that do not begin where their memory does.
Block* CachingAllocator::containing(const void* ptr) {
  if (Block** found = live_.find(ptr)) return *found;
  char* address = static_cast<char*>(const_cast<void*>(ptr));
  auto above = segments_.upper_bound(address);
  if (above == segments_.begin()) return nullptr;
  const Segment& segment = *std::prev(above)->second;
  if (address >= segment.base + segment.bytes) return nullptr;
  Block* block = segment.first;
  while (address >= block->ptr + block->bytes) block = block->after;
  return block->state == BlockState::kLive ? block : nullptr;
}

// ---- blocks: all with mutex_ held ----

// A free block of a segment that is not free as a whole; memory of expandable segments can be given back anyway.
void CachingAllocator::count_split(const Block* block, bool more) {
  if (block->segment->expandable || !(block->before || block->after)) return;
  const bool small = block->segment->pool->small;
  if (more) {
    stats_.raise(kInactiveSplit, small, 1);
    stats_.raise(kInactiveSplitBytes, small, block->bytes);
  } else {
    stats_.lower(kInactiveSplit, small, 1);
    stats_.lower(kInactiveSplitBytes, small, block->bytes);
  }
}

void CachingAllocator::list(Block* block) {
  block->state = BlockState::kFree;
  block->segment->pool->free.insert(block);
  count_split(block, true);
}

void CachingAllocator::unlist(Block* block) {
  count_split(block, false);
  block->segment->pool->free.erase(block);
  block->state = BlockState::kHeld;
}

// Of the free blocks of a pool, one of at least `bytes`, or the beginning of one, held; NULL for none.
Block* CachingAllocator::take(StreamPool& pool, size_t bytes) {
  Block* found = pool.free.find(bytes);
  if (!found) return nullptr;
  if (found->bytes == bytes) {
    unlist(found);
    return found;
  }
  Block* block = blocks_.make(found->segment, found->ptr, bytes);
  count_split(found, false);
  block->before = found->before;
  block->after = found;
  (block->before ? block->before->after : block->segment->first) = block;
  found->before = block;
  pool.free.change(found, found->ptr + bytes, found->bytes - bytes);
  count_split(found, true);
  return block;
}

// Leaves the first `bytes` in the block and answers the rest, which is held.
Block* CachingAllocator::cut(Block* block, size_t bytes) {
  Block* rest = blocks_.make(block->segment, block->ptr + bytes, block->bytes - bytes);
  block->bytes = bytes;
  rest->before = block;
  rest->after = block->after;
  if (rest->after) rest->after->before = rest;
  block->after = rest;
  return rest;
}

void CachingAllocator::absorb_next(Block* block) {
  Block* next = block->after;
  block->bytes += next->bytes;
  block->after = next->after;
  if (block->after) block->after->before = block;
  blocks_.drop(next);
}

// Makes a held block free, in one piece with the free ones around it.
void CachingAllocator::put_back(Block* block) {
  Segment* segment = block->segment;
  segment->last_used = ++clock_;
  Block* before = is_free(block->before) ? block->before : nullptr;
  Block* after = is_free(block->after) ? block->after : nullptr;
  if (before && after) {
    unlist(after);
    absorb_next(block);
  }
  Block* whole = before ? before : after;
  if (!whole) return list(block);
  count_split(whole, false);
  segment->pool->free.change(whole, before ? before->ptr : block->ptr, whole->bytes + block->bytes);
  (block->before ? block->before->after : segment->first) = block->after;
  if (block->after) block->after->before = block->before;
  blocks_.drop(block);
  count_split(whole, true);
}

void CachingAllocator::hand_out(Block* block, size_t bytes, size_t requested, Site site) {
  assert(block->bytes >= bytes);
  if (block->bytes > bytes) list(cut(block, bytes));
  block->state = BlockState::kLive;
  block->requested = requested;
  block->site = site;
  live_.insert(block->ptr, block);
  const bool small = block->segment->pool->small;
  stats_.raise(kAllocation, small, 1);
  stats_.raise(kActive, small, 1);
  stats_.raise(kAllocatedBytes, small, bytes);
  stats_.raise(kActiveBytes, small, bytes);
  stats_.raise(kRequestedBytes, small, requested);
}

// ---- allocate, free ----

Status CachingAllocator::allocate(size_t nbytes, Stream stream, void** out) try {
  *out = nullptr;
  if (nbytes == 0) return {};
  if (nbytes > kMost) return out_of_memory(nbytes, stream);
  const size_t bytes = (nbytes + kBlockUnit - 1) / kBlockUnit * kBlockUnit;
  if (waiting_.count() && polls_.fetch_add(1, std::memory_order_relaxed) % kPollEvery == 0) {
    Status status = collect(false);
    if (!status) return status;
  }
  const Site site = take_site();
  const Site event_site = history_size_.load(std::memory_order_relaxed) ? take_site() : Site();
  Lock lock(mutex_);
  Block* block = take(*pool_of(stream, bytes <= kSmallLimit), bytes);
  if (!block) {
    lock.unlock();
    Status status = find_memory(bytes, stream, &block);
    if (status.code == Status::kExhausted) status = out_of_memory(nbytes, stream);
    lock.lock();
    if (!status) {
      retire(site);
      retire(event_site);
      leave(lock);
      return status;
    }
  }
  hand_out(block, bytes, nbytes, site);
  note(Action::kAlloc, block->ptr, bytes, stream, event_site);
  *out = block->ptr;
  leave(lock);
  return {};
} catch (const std::bad_alloc&) {
  return {Status::kExhausted, "the host has no memory left for the allocator's own records"};
}

// The way of what is not in the lists; answers a block that is held.
Status CachingAllocator::find_memory(size_t bytes, Stream stream, Block** out) {
  Status status = collect(false);
  if (!status) return status;
  std::lock_guard<std::mutex> growth(growth_);
  enum { kAsIs, kWait, kReleaseSome, kReleaseAll, kSteps };
  for (int step = kAsIs; step < kSteps; ++step) {
    if (step != kAsIs && capturing_.load()) break;  // waiting and giving back would break the capture
    if (step == kWait) {
      if (!waiting_.count()) continue;
      status = collect(true);
    } else if (step != kAsIs) {
      size_t released = 0;
      status = release_unused(step == kReleaseSome ? bytes : kMost, &released);
      if (status && !released) continue;
    }
    if (!status) return status;
    Lock lock(mutex_);
    if (step > kWait) ++stats_.alloc_retries;
    StreamPool* pool = pool_of(stream, bytes <= kSmallLimit);
    if ((*out = take(*pool, bytes))) return {};
    status = grow(*pool, bytes, lock, out);
    if (status.code != Status::kExhausted) return status;
  }
  return {Status::kExhausted, {}};
}

Status CachingAllocator::free(void* ptr) try {
  if (!ptr) return {};
  const bool history = history_size_.load(std::memory_order_relaxed) != 0;
  const Site event_site = history ? take_site() : Site();
  Lock lock(mutex_);
  Block* block = live_.take(ptr);
  if (!block) {
    retire(event_site);
    leave(lock);
    return unknown_pointer("free", ptr);
  }
  StreamPool* pool = block->segment->pool;
  stats_.lower(kAllocation, pool->small, 1);
  stats_.lower(kAllocatedBytes, pool->small, block->bytes);
  stats_.lower(kRequestedBytes, pool->small, block->requested);
  note(Action::kFreeRequested, ptr, block->bytes, pool->stream, event_site);
  retire(block->site);
  const bool waits = block->uses != nullptr;
  if (waits) {
    block->state = BlockState::kWaiting;
  } else {
    stats_.lower(kActive, pool->small, 1);
    stats_.lower(kActiveBytes, pool->small, block->bytes);
    note(Action::kFreeCompleted, ptr, block->bytes, pool->stream);
    put_back(block);
  }
  leave(lock);
  return waits ? wait_for_streams(block) : Status();  // nobody else touches a block that waits
} catch (const std::bad_alloc&) {
  return {Status::kFailed, "the host has no memory left for the allocator's own records"};
}

// During a capture, an event would become a part of the graph. None begins while recording_ is held; the last one that
// ends takes what is deferred, under mutex_.
Status CachingAllocator::wait_for_streams(Block* block) {
  std::lock_guard<std::mutex> recording(recording_);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (capturing_.load()) {
      deferred_.push_back(block);
      return {};
    }
  }
  return waiting_.add(block, *block->uses);
}

// Takes back the blocks whose events have passed.
Status CachingAllocator::collect(bool wait) {
  if (capturing_.load()) return {};
  std::vector<void*> passed;
  Status status = wait ? waiting_.wait(&passed) : waiting_.poll(&passed);
  if (passed.empty() && !wait) return status;
  std::lock_guard<std::mutex> lock(mutex_);
  if (wait) ++stats_.sync_all_streams;
  for (void* entry : passed) {
    Block* block = static_cast<Block*>(entry);
    StreamPool* pool = block->segment->pool;
    block->uses.reset();
    stats_.lower(kActive, pool->small, 1);
    stats_.lower(kActiveBytes, pool->small, block->bytes);
    note(Action::kFreeCompleted, block->ptr, block->bytes, pool->stream);
    put_back(block);
  }
  return status;
}

// ---- streams ----

Status CachingAllocator::record_stream(const void* ptr, Stream stream, Driver* of) {
  if (!ptr) return {};
  std::lock_guard<std::mutex> lock(mutex_);
  Block* block = containing(ptr);
  if (!block) return unknown_pointer("record_stream", ptr);
  const StreamUse use{of ? of : &driver_, stream};
  if (use == StreamUse{&driver_, block->segment->pool->stream}) return {};
  if (!block->uses) block->uses = std::make_unique<std::vector<StreamUse>>();
  if (std::find(block->uses->begin(), block->uses->end(), use) == block->uses->end()) block->uses->push_back(use);
  return {};
}

Status CachingAllocator::release_stream(Stream stream) {
  std::lock_guard<std::mutex> growth(growth_);  // no capture begins now
  if (capturing_.load()) return {Status::kFailed, "expected no stream to be destroyed while a graph is captured"};
  Status status = driver_.synchronize();
  if (!status) return status;
  // What was recorded has passed, and no event can be recorded later.
  status = collect(true);
  std::lock_guard<std::mutex> lock(mutex_);
  live_.each([&](Block* block) {
    if (!block->uses) return;
    auto& uses = *block->uses;
    uses.erase(std::remove(uses.begin(), uses.end(), StreamUse{&driver_, stream}), uses.end());
    if (uses.empty()) block->uses.reset();
  });
  return status;
}

Status CachingAllocator::empty_cache() {
  std::lock_guard<std::mutex> growth(growth_);  // no capture begins now
  if (capturing_.load()) return {Status::kFailed, "empty_cache: expected no graph capture to be underway"};
  Status status = collect(false);
  if (!status) return status;
  size_t released = 0;
  return release_unused(kMost, &released);
}

void CachingAllocator::set_limit(size_t bytes) {
  std::lock_guard<std::mutex> growth(growth_);
  std::lock_guard<std::mutex> lock(mutex_);
  limit_ = bytes;
}

Status CachingAllocator::set_memory_fraction(double fraction) {
  if (!(fraction > 0 && fraction <= 1))
    return {Status::kFailed, "expected a memory fraction in (0, 1], got " + std::to_string(fraction)};
  set_limit(static_cast<size_t>(fraction * static_cast<double>(total_)));
  return {};
}

// ---- private pools ----

PoolGroup* CachingAllocator::group_of(PoolId id) {
  auto found = groups_.find(id);
  return id && found != groups_.end() && found->second->references ? found->second.get() : nullptr;
}

PoolId CachingAllocator::create_pool() {
  std::lock_guard<std::mutex> lock(mutex_);
  auto group = std::make_unique<PoolGroup>();
  group->id = next_pool_++;
  group->references = 1;
  const PoolId id = group->id;
  groups_[id] = std::move(group);
  return id;
}

Status CachingAllocator::retain_pool(PoolId id) {
  std::lock_guard<std::mutex> lock(mutex_);
  PoolGroup* group = group_of(id);
  if (!group) return unknown_pool(id);
  ++group->references;
  return {};
}

Status CachingAllocator::release_pool(PoolId id) {
  std::lock_guard<std::mutex> growth(growth_);
  std::lock_guard<std::mutex> lock(mutex_);
  PoolGroup* group = group_of(id);
  if (!group) return unknown_pool(id);
  --group->references;
  drop_empty_groups();
  return {};
}

Status CachingAllocator::begin_allocate_to_pool(PoolId id, PoolUse use) {
  // Whoever gives memory back or records an event now is done before the capture begins.
  std::lock_guard<std::mutex> growth(growth_);
  std::lock_guard<std::mutex> recording(recording_);
  std::lock_guard<std::mutex> lock(mutex_);
  PoolGroup* group = group_of(id);
  if (!group) return unknown_pool(id);
  for (const Route& route : routes_)
    if (route.group == group)
      return {Status::kFailed, "expected a memory pool that is not in use, got " + std::to_string(id)};
  ++group->references;  // a use keeps it, whatever is released meanwhile
  if (use.capturing) capturing_.fetch_add(1);
  routes_.push_back(Route{group, std::move(use)});
  return {};
}

Status CachingAllocator::end_allocate_to_pool(PoolId id) {
  std::vector<Block*> deferred;
  {
    std::lock_guard<std::mutex> growth(growth_);
    std::lock_guard<std::mutex> lock(mutex_);
    auto route = std::find_if(routes_.begin(), routes_.end(), [&](const Route& r) { return r.group->id == id; });
    if (route == routes_.end()) return {Status::kFailed, "expected a memory pool in use, got " + std::to_string(id)};
    if (route->use.capturing && capturing_.fetch_sub(1) == 1) deferred.swap(deferred_);
    --route->group->references;
    routes_.erase(route);
    drop_empty_groups();
  }
  for (Block* block : deferred) {
    Status status = wait_for_streams(block);
    if (!status) return status;
  }
  return {};
}

// ---- statistics ----

MemoryStats CachingAllocator::stats() {
  std::lock_guard<std::mutex> lock(mutex_);
  return stats_;
}

void CachingAllocator::reset_peak_stats() {
  std::lock_guard<std::mutex> lock(mutex_);
  stats_.reset_peak();
}

void CachingAllocator::reset_accumulated_stats() {
  std::lock_guard<std::mutex> lock(mutex_);
  stats_.reset_accumulated();
}

}  // namespace atled::cuda
