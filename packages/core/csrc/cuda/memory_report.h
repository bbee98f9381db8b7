// What the allocator knows, as plain data, and its forms for people and for Python: JSON with the keys of PyTorch's
// memory snapshot and statistics, and the text of an out-of-memory error. No locks, no driver.
#pragma once

#include <string>
#include <vector>

#include "memory_blocks.h"
#include "memory_stats.h"

namespace atled::cuda {

struct BlockInfo {
  uintptr_t address;
  size_t bytes;
  size_t requested;
  BlockState state;
  Site site;
  std::string line;  // the site's text
};

struct SegmentInfo {
  uintptr_t address;
  size_t mapped;
  uintptr_t stream;
  bool small;
  bool expandable;
  uint64_t pool;  // 0 is the general one
  std::vector<BlockInfo> blocks;
};

enum class Action : uint8_t {
  kAlloc,
  kFreeRequested,
  kFreeCompleted,
  kSegmentAlloc,
  kSegmentFree,
  kSegmentMap,
  kSegmentUnmap,
  kOutOfMemory
};

struct HistoryEntry {
  Action action;
  uintptr_t address;
  size_t bytes;
  uintptr_t stream;
  int64_t time_us;  // since 1970
  Site site;
  std::string line;
};

struct Snapshot {
  int device;
  std::vector<SegmentInfo> segments;  // by address
  std::vector<HistoryEntry> history;  // oldest first
};

// Live allocations of one line, or of one size where no line is known.
struct LiveGroup {
  Site site;
  std::string line;
  size_t bytes;  // of all
  size_t count;
  size_t largest;
};

struct MemoryProblem {
  int device;
  size_t wanted;
  size_t free;  // of the device
  size_t total;
  size_t limit;  // of this process, 0 for none
  size_t reserved;
  size_t live;  // handed out
  size_t live_count;
  size_t waiting;  // freed, but other streams may still use it
  size_t cached;   // reserved and free
  size_t largest;  // free block
  bool expandable;
  bool capturing;                 // a graph is being captured, so nothing could be given back
  std::vector<LiveGroup> groups;  // largest first
};

std::string readable(size_t bytes);  // "1.50 GiB"
std::string to_json(const MemoryStats& stats);
std::string to_json(const Snapshot& snapshot);
std::string out_of_memory_text(const MemoryProblem& problem);

}  // namespace atled::cuda
