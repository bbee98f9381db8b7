#include "pinned_cache.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <new>

#include "memory_report.h"

namespace atled::cuda {
namespace {

constexpr int kSmallest = 12;  // log2 of a page: the driver locks whole ones
constexpr size_t kMost = size_t{1} << 48;

// Classes: a page, then four steps for each power of two; what is wasted stays below a fifth of a block.
size_t class_bytes(int index) {
  if (index == 0) return size_t{1} << kSmallest;
  const int log = kSmallest + (index - 1) / 4, step = (index - 1) % 4 + 1;
  return (size_t{1} << log) + (static_cast<size_t>(step) << (log - 2));
}

int class_of(size_t nbytes) {
  int index = 0;
  while (class_bytes(index) < nbytes) index += class_bytes(index + 4) < nbytes ? 4 : 1;
  return index;
}

Status unknown(const void* ptr) {
  char text[96];
  snprintf(text, sizeof text, "expected pinned host memory of this cache, got %p", ptr);
  return {Status::kFailed, text};
}

}  // namespace

PinnedCache::~PinnedCache() {
  for (auto& [ptr, block] : blocks_) (void)driver_.host_release(block->ptr);
}

PinnedCache::Block* PinnedCache::holding(const void* ptr) {
  const char* address = static_cast<const char*>(ptr);
  auto above = blocks_.upper_bound(address);
  if (above == blocks_.begin()) return nullptr;
  Block* block = std::prev(above)->second.get();
  return block->live && address < block->ptr + block->bytes ? block : nullptr;
}

// Blocks whose copies have passed become free. An event that cannot be asked leaves them where they are; the error
// shows wherever the device is used next.
void PinnedCache::collect() {
  if (!waiting_.count()) return;
  std::vector<void*> passed;
  (void)waiting_.poll(&passed);
  std::lock_guard<std::mutex> lock(mutex_);
  for (void* entry : passed) {
    Block* block = static_cast<Block*>(entry);
    block->uses.clear();
    free_[block->index].push_back(block);
  }
}

Status PinnedCache::allocate(size_t nbytes, void** out) try {
  *out = nullptr;
  if (nbytes == 0) return {};
  if (nbytes > kMost) return {Status::kExhausted, "expected " + readable(nbytes) + " of pinned host memory to exist"};
  const int index = class_of(nbytes);
  const size_t bytes = class_bytes(index);
  collect();
  std::unique_lock<std::mutex> lock(mutex_);
  Block* block = nullptr;
  if (!free_[index].empty()) {
    block = free_[index].back();
    free_[index].pop_back();
  } else {
    auto fresh = std::make_unique<Block>(Block{nullptr, bytes, index, false, {}});
    void* memory = nullptr;
    lock.unlock();
    Status status = driver_.host_allocate(bytes, &memory);
    if (status.code == Status::kExhausted) {
      status = give_back();
      if (status) status = driver_.host_allocate(bytes, &memory);
    }
    lock.lock();
    if (status.code == Status::kExhausted)
      return {Status::kExhausted, "expected " + readable(nbytes) +
                                      " of pinned host memory to be available, but the "
                                      "system refused them; this process holds " +
                                      readable(stats_.reserved_bytes) + ", " + readable(stats_.allocated_bytes) +
                                      " of it in use; pin less, or use pageable memory"};
    if (!status) return status;
    block = fresh.get();
    block->ptr = static_cast<char*>(memory);
    blocks_[block->ptr] = std::move(fresh);
    ++stats_.host_alloc;
    ++stats_.segments;
    stats_.reserved_bytes += bytes;
  }
  block->live = true;
  ++stats_.allocations;
  stats_.allocated_bytes += bytes;
  *out = block->ptr;
  return {};
} catch (const std::bad_alloc&) {
  return {Status::kExhausted, "the host has no memory left for the pinned cache's own records"};
}

Status PinnedCache::free(void* ptr) try {
  if (!ptr) return {};
  std::unique_lock<std::mutex> lock(mutex_);
  Block* block = holding(ptr);
  if (!block || block->ptr != ptr) return unknown(ptr);
  block->live = false;
  --stats_.allocations;
  stats_.allocated_bytes -= block->bytes;
  if (block->uses.empty()) {
    free_[block->index].push_back(block);
    return {};
  }
  lock.unlock();  // nobody else touches a block that waits
  return waiting_.add(block, block->uses);
} catch (const std::bad_alloc&) {
  return {Status::kFailed, "the host has no memory left for the pinned cache's own records"};
}

bool PinnedCache::record(const void* ptr, const StreamUse& use) {
  std::lock_guard<std::mutex> lock(mutex_);
  Block* block = holding(ptr);
  if (!block) return false;
  if (std::find(block->uses.begin(), block->uses.end(), use) == block->uses.end()) block->uses.push_back(use);
  return true;
}

bool PinnedCache::contains(const void* ptr) {
  std::lock_guard<std::mutex> lock(mutex_);
  return holding(ptr) != nullptr;
}

Status PinnedCache::give_back() {
  std::vector<std::unique_ptr<Block>> unused;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (std::vector<Block*>& list : free_) {
      for (Block* block : list) {
        auto found = blocks_.find(block->ptr);
        unused.push_back(std::move(found->second));
        blocks_.erase(found);
        --stats_.segments;
        stats_.reserved_bytes -= block->bytes;
        ++stats_.host_free;
      }
      list.clear();
    }
  }
  Status status;
  for (const auto& block : unused) {
    Status released = driver_.host_release(block->ptr);
    if (status) status = released;
  }
  return status;
}

Status PinnedCache::empty_cache() {
  collect();
  return give_back();
}

PinnedStats PinnedCache::stats() {
  std::lock_guard<std::mutex> lock(mutex_);
  return stats_;
}

}  // namespace atled::cuda
