// Where an allocation was made. What the words mean is known to whoever sets the callbacks alone (the plugin, from
// what Python tells it); all zero means that no place is known.
#pragma once

#include <cstddef>
#include <cstdint>

namespace atled::cuda {

struct Site {
  uint64_t words[2] = {0, 0};
  bool known() const { return words[0] | words[1]; }
  bool operator==(const Site& other) const { return words[0] == other.words[0] && words[1] == other.words[1]; }
};

// The allocator calls these without holding a lock, so they may take any, such as Python's. Each site that was taken
// is released once; its text is asked for before that only.
struct SiteCallbacks {
  Site (*take)() = nullptr;  // of the calling thread, at every allocation: a few nanoseconds
  void (*release)(Site site) = nullptr;
  void (*text)(Site site, char* text, size_t size) = nullptr;  // "train.py:12"
};

}  // namespace atled::cuda
