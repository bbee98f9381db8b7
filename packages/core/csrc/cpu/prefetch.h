// Asking for memory that is about to be used in an order that hardware does not foresee.
#pragma once

#include <cstdint>

#if defined(_MSC_VER) && defined(_M_X64)
#include <intrin.h>
#endif

namespace atled::core {

inline void prefetch(const void* memory, int64_t bytes) {
  const char* at = static_cast<const char*>(memory);
  for (int64_t i = 0; i < bytes; i += 64) {
#if defined(__GNUC__)
    __builtin_prefetch(at + i);
#elif defined(_MSC_VER) && defined(_M_X64)
    _mm_prefetch(at + i, _MM_HINT_T0);
#else
    (void)at;
#endif
  }
}

}  // namespace atled::core
