// Quotients by a divisor that is known before a loop begins, for host and device code.
#ifndef ATLED_DIVISOR_H
#define ATLED_DIVISOR_H

#include <cstdint>

#include "dtype.hpp"

namespace atled {

// A product, a sum and a shift (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994).
// For 0 <= n < 2^31 and 1 <= d < 2^31.
struct FastDivisor {
  uint32_t divisor = 1, magic = 1, shift = 0;

  FastDivisor() = default;
  explicit FastDivisor(uint32_t d) : divisor(d) {
    while (shift < 31 && (uint32_t{1} << shift) < d) ++shift;
    const uint64_t excess = (uint64_t{1} << shift) - d;
    magic = static_cast<uint32_t>((excess << 32) / d + 1);
  }
  ATLED_HOST_DEVICE uint32_t quotient(uint32_t n) const {
#if defined(__CUDA_ARCH__)
    const uint32_t high = __umulhi(n, magic);
#else
    const uint32_t high = static_cast<uint32_t>(static_cast<uint64_t>(n) * magic >> 32);
#endif
    return (high + n) >> shift;
  }
};

}  // namespace atled
#endif  // ATLED_DIVISOR_H
