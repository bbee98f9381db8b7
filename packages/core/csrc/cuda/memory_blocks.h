// The structures below the caching allocator: blocks and segments, free blocks by size, and a table by address. They
// know no policy and take no lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "memory_driver.h"
#include "memory_site.h"

namespace atled::cuda {

constexpr size_t kBlockUnit = 512;  // sizes and addresses of blocks are multiples of it

struct Segment;
struct StreamPool;

enum class BlockState : uint8_t {
  kFree,     // in its pool's FreeBlocks
  kHeld,     // taken out of circulation while the driver works on it
  kLive,     // handed out
  kWaiting,  // freed, but other streams may still use it
  kHole      // addresses without memory, in an expandable segment
};

// A range of a segment. The blocks of a segment cover it without gaps, in a list by address.
struct Block {
  char* ptr;
  size_t bytes;
  size_t requested;  // what the caller asked for
  Block* before;     // neighbours in the segment
  Block* after;
  Block* left;  // in FreeBlocks
  Block* right;
  Segment* segment;
  std::unique_ptr<std::vector<StreamUse>> uses;  // other streams that were recorded; NULL for none
  Site site;
  uint32_t priority;  // random, of this object and not of what it holds
  BlockState state;
};

inline bool is_free(const Block* block) { return block && block->state == BlockState::kFree; }

// Memory that came from the driver at once, or an expandable segment: a long range of addresses, of which parts get
// memory as they are needed.
struct Segment {
  // Physical memory under a run of granules, at its first granule.
  struct Mapping {
    Chunk chunk;
    uint32_t run;    // granules of the chunk, 0 where nothing is mapped
    uint32_t index;  // of this granule in the run
  };

  StreamPool* pool;
  char* base;
  size_t bytes;   // of addresses
  size_t mapped;  // bytes that have memory
  bool expandable;
  Block* first;
  uint64_t last_used;             // when a block came back: the allocator's clock
  std::map<char*, Block*> holes;  // by address; expandable only
  std::vector<Mapping> mappings;  // by granule, as far as there ever was one; expandable only
};

// Blocks are made and dropped at every split and merge, so they come from slabs.
class BlockSlabs {
 public:
  Block* make(Segment* segment, char* ptr, size_t bytes);
  void drop(Block* block);

 private:
  static constexpr size_t kSlab = 128;
  std::vector<std::unique_ptr<Block[]>> slabs_;
  Block* spare_ = nullptr;  // linked by `after`
  uint32_t random_ = 2463534242u;
};

// Free blocks by size. Sizes fall into bins, 16 for each power of two and one for each size up to 16 KiB; a bin is a
// treap by size and then address. So nearly all trees have a node or two, and no pattern of sizes makes them slow.
class FreeBlocks {
 public:
  void insert(Block* block);
  void erase(Block* block);
  // A block that is here becomes another range.
  void change(Block* block, char* ptr, size_t bytes);
  // Best fit among blocks that are hardly larger than `bytes` (in one bin with it). Where there is none, a block has to
  // be split, and of the smallest ones of each bin it is the one at the lowest address: long free ranges gather at the
  // end, which takes less memory than best fit throughout (docs/cuda-memory.md). NULL where none fits.
  Block* find(size_t bytes) const;
  // The largest block, the last of them; NULL for none.
  Block* largest() const;

 private:
  static constexpr int kBins = 512;
  static int bin(size_t bytes);
  Block* roots_[kBins] = {};
  uint64_t used_[kBins / 64] = {};
};

// Values by address: open addressing with linear probing, at most half full; erasing leaves no tombstones.
template <class Value>
class AddressTable {
 public:
  AddressTable() : slots_(64, Slot{kNone, Value()}), shift_(58) {}

  Value* find(const void* address) {
    const size_t i = locate(key(address));
    return slots_[i].key == kNone ? nullptr : &slots_[i].value;
  }

  void insert(const void* address, Value value) {
    if (2 * (count_ + 1) > slots_.size()) grow();
    place(key(address), std::move(value));
    ++count_;
  }

  // Answers the default value if the address is not there.
  Value take(const void* address) {
    size_t hole = locate(key(address));
    if (slots_[hole].key == kNone) return Value();
    Value value = std::move(slots_[hole].value);
    // Whatever was pushed past the hole by it moves up, so that look-ups may end at the first empty slot.
    for (size_t i = next(hole); slots_[i].key != kNone; i = next(i)) {
      const size_t wanted = home(slots_[i].key);
      if (((i - wanted) & (slots_.size() - 1)) < ((i - hole) & (slots_.size() - 1))) continue;
      slots_[hole] = std::move(slots_[i]);
      hole = i;
    }
    slots_[hole].key = kNone;
    --count_;
    return value;
  }

  template <class Function>
  void each(Function&& function) {
    for (Slot& slot : slots_)
      if (slot.key != kNone) function(slot.value);
  }

  size_t count() const { return count_; }

 private:
  struct Slot {
    uintptr_t key;
    Value value;
  };
  static constexpr uintptr_t kNone = ~uintptr_t{0};  // no address of a block; NULL is the default stream

  static uintptr_t key(const void* address) { return reinterpret_cast<uintptr_t>(address); }
  size_t home(uintptr_t key) const { return static_cast<size_t>(key * UINT64_C(0x9E3779B97F4A7C15) >> shift_); }
  size_t next(size_t i) const { return (i + 1) & (slots_.size() - 1); }

  // The key's slot, or the empty one where it would go.
  size_t locate(uintptr_t key) const {
    size_t i = home(key);
    while (slots_[i].key != key && slots_[i].key != kNone) i = next(i);
    return i;
  }

  void place(uintptr_t key, Value value) {
    const size_t i = locate(key);
    slots_[i].key = key;
    slots_[i].value = std::move(value);
  }

  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    for (Slot& slot : old) slot.key = kNone;
    old.swap(slots_);
    --shift_;
    for (Slot& slot : old)
      if (slot.key != kNone) place(slot.key, std::move(slot.value));
  }

  std::vector<Slot> slots_;
  size_t count_ = 0;
  int shift_;
};

}  // namespace atled::cuda
