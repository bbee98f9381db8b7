// The caching CPU allocator: blocks of a size class go back to a list and come out again, so that a fresh output does
// not pay page faults on every call. Small classes have a list per thread, which costs a few nanoseconds; what
// overflows, and every large block, goes through lists that all threads share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace atled::core {

constexpr size_t kAlignment = 64;

// NULL when the system or the limit has no more; nbytes 0 gives a valid pointer. Any thread may free what another
// allocated.
void* allocate(size_t nbytes) noexcept;
void deallocate(void* block, size_t nbytes) noexcept;

struct MemoryStats {
  uint64_t live_bytes;    // in blocks above 64 KiB that are in use
  uint64_t peak_bytes;    // the highest live_bytes since reset_peak
  uint64_t cached_bytes;  // in blocks kept for reuse by all threads
  uint64_t system_calls;  // blocks that had to come from the system
  uint64_t held_bytes;    // in all blocks that came from the system and are not given back
  uint64_t limit_bytes;   // what held_bytes may reach, 0 for no limit
  uint64_t most_cached;   // what cached_bytes may reach
};
MemoryStats memory_stats() noexcept;
void reset_peak() noexcept;
// Gives cached blocks of all threads' shared lists, and of this thread's own, back to the system.
void trim() noexcept;
// How many bytes may be held, 0 for no limit; ATLED_MEMORY_LIMIT (bytes, or with K, M, G or T behind) is its start.
// What is held already stays.
void set_memory_limit(uint64_t bytes) noexcept;
// Why an allocation of nbytes was refused, as the sentence of an error.
void explain_refusal(int64_t nbytes, char* text, size_t size) noexcept;

}  // namespace atled::core
