// The caching CPU allocator: blocks of a size class go back to a list and come out again, so that a fresh output does
// not pay page faults on every call. Small classes have a list per thread, which costs a few nanoseconds; what
// overflows, and every large block, goes through lists that all threads share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace atled::core {

constexpr size_t kAlignment = 64;

// NULL when the system has no more; nbytes 0 gives a valid pointer. Any thread may free what another allocated.
void* allocate(size_t nbytes) noexcept;
void deallocate(void* block, size_t nbytes) noexcept;

struct MemoryStats {
  uint64_t live_bytes;    // in blocks above 64 KiB that are in use
  uint64_t peak_bytes;    // the highest live_bytes since reset_peak
  uint64_t cached_bytes;  // in blocks kept for reuse by all threads
  uint64_t system_calls;  // blocks that had to come from the system
};
MemoryStats memory_stats() noexcept;
void reset_peak() noexcept;
// Gives cached blocks of all threads' shared lists, and of this thread's own, back to the system.
void trim() noexcept;

}  // namespace atled::core
