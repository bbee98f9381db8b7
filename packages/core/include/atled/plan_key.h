// The key of a table of plans: N numbers, all that a library's choice of an algorithm depends on. Host code; no
// dependencies.
#ifndef ATLED_PLAN_KEY_H
#define ATLED_PLAN_KEY_H

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace atled {

template <int N>
struct PlanKey {
  int64_t words[N];

  bool operator==(const PlanKey& other) const { return std::memcmp(words, other.words, sizeof words) == 0; }

  struct Hash {
    size_t operator()(const PlanKey& key) const {
      uint64_t hash = 0;
      for (const int64_t word : key.words) {
        hash = (hash ^ static_cast<uint64_t>(word)) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
      }
      return static_cast<size_t>(hash);
    }
  };
};

}  // namespace atled
#endif  // ATLED_PLAN_KEY_H
