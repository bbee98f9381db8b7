#include "cpu/past_cache.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "cpu/levels.h"

#if defined(__linux__)
#include <unistd.h>
#endif

namespace atled::core {

#if ATLED_X86_LEVELS

namespace {

namespace lines {

struct Baseline {
  static void copy(char* out, const char* in, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += 16)
      _mm_stream_si128(reinterpret_cast<__m128i*>(out + i), _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i)));
  }
};
struct Avx512 {
  __attribute__((target("avx512f"))) static void copy(char* out, const char* in, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += kCacheLine)
      _mm512_stream_si512(reinterpret_cast<__m512i*>(out + i), _mm512_loadu_si512(in + i));
  }
};

}  // namespace lines

}  // namespace

int64_t past_cache_limit() {
  static const int64_t limit = [] {
    int64_t cache = 0;
#if defined(_SC_LEVEL3_CACHE_SIZE)
    cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    return std::max<int64_t>(cache / 2, 8 << 20);
  }();
  return limit;
}

void copy_past_cache(char* out, const char* in, int64_t bytes) {
  const bool aligned = reinterpret_cast<uintptr_t>(out) % kCacheLine == 0;
  const int64_t whole = aligned ? bytes - bytes % kCacheLine : 0;
  (cpu_level() == kAvx512 ? lines::Avx512::copy : lines::Baseline::copy)(out, in, whole);
  std::memcpy(out + whole, in + whole, static_cast<size_t>(bytes - whole));
}

void past_cache_end() { _mm_sfence(); }

#else

int64_t past_cache_limit() { return std::numeric_limits<int64_t>::max(); }
void copy_past_cache(char* out, const char* in, int64_t bytes) { std::memcpy(out, in, static_cast<size_t>(bytes)); }
void past_cache_end() {}

#endif

}  // namespace atled::core
