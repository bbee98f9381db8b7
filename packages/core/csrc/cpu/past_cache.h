// Writing past the cache: an output larger than the cache need not be read into it before it is written over.
#pragma once

#include <cstdint>

namespace atled::core {

// Outputs of so many bytes are worth it.
int64_t past_cache_limit();

// Copies from the cache to memory. Whole lines only where `out` is at the start of one; what is left over is copied
// the common way. Call past_cache_end when all of a thread's are done, before others read them.
void copy_past_cache(char* out, const char* in, int64_t bytes);
void past_cache_end();

constexpr int64_t kCacheLine = 64;

}  // namespace atled::core
