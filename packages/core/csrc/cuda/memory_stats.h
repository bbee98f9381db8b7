// The numbers of PyTorch's torch.cuda.memory_stats, with its names (memory_report.h writes them).
#pragma once

#include <cstddef>
#include <cstdint>

namespace atled::cuda {

enum Quantity {
  kAllocation,      // blocks that are handed out
  kSegment,         // ranges that came from the driver
  kActive,          // handed out, or freed and still waiting for other streams
  kInactiveSplit,   // free blocks of a segment that is not free as a whole; none in expandable segments
  kAllocatedBytes,  // in the same blocks as above
  kReservedBytes,
  kActiveBytes,
  kInactiveSplitBytes,
  kRequestedBytes,  // of what is handed out, before rounding
  kQuantities
};

struct Stat {
  int64_t current = 0;
  int64_t peak = 0;
  int64_t allocated = 0;  // the sum of all increases
  int64_t freed = 0;      // the sum of all decreases
};

struct MemoryStats {
  enum { kAll, kSmallPool, kLargePool, kPools };

  Stat stats[kQuantities][kPools];
  int64_t alloc_retries = 0;  // times that unused memory was given back to make room
  int64_t ooms = 0;
  int64_t sync_all_streams = 0;  // times that a thread waited for the device
  int64_t device_alloc = 0;      // calls of the driver that got memory
  int64_t device_free = 0;

  void raise(Quantity quantity, bool small, size_t by) {
    for (Stat* stat : {&stats[quantity][kAll], &stats[quantity][small ? kSmallPool : kLargePool]}) {
      stat->current += static_cast<int64_t>(by);
      stat->allocated += static_cast<int64_t>(by);
      if (stat->current > stat->peak) stat->peak = stat->current;
    }
  }
  void lower(Quantity quantity, bool small, size_t by) {
    for (Stat* stat : {&stats[quantity][kAll], &stats[quantity][small ? kSmallPool : kLargePool]}) {
      stat->current -= static_cast<int64_t>(by);
      stat->freed += static_cast<int64_t>(by);
    }
  }
  void reset_peak() {
    for (auto& pools : stats)
      for (Stat& stat : pools) stat.peak = stat.current;
  }
  void reset_accumulated() {
    for (auto& pools : stats)
      for (Stat& stat : pools) stat.allocated = stat.freed = 0;
    alloc_retries = ooms = sync_all_streams = device_alloc = device_free = 0;
  }
  int64_t current(Quantity quantity) const { return stats[quantity][kAll].current; }
  int64_t peak(Quantity quantity) const { return stats[quantity][kAll].peak; }
};

}  // namespace atled::cuda
