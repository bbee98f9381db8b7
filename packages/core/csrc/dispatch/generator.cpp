#include "dispatch/generator.h"

#include <random>

#include "atled/abi.h"

namespace atled::core {

atled_generator& default_generator() {
  static atled_generator* generator = [] {
    auto* made = new atled_generator;
    std::random_device entropy;
    made->seed = (static_cast<uint64_t>(entropy()) << 32) | entropy();
    return made;
  }();
  return *generator;
}

int reserve_random(atled_generator* generator, uint64_t n, uint64_t* seed, uint64_t* offset) noexcept {
  atled_generator& g = generator ? *generator : default_generator();
  std::lock_guard<std::mutex> lock(g.mutex);
  *seed = g.seed;
  *offset = g.offset;
  g.offset += n;
  return ATLED_OK;
}

}  // namespace atled::core
