// What an allocation and its release cost on the host, beside malloc's. Figures, no limits: they go with the machine.
#include <chrono>
#include <random>

#include "cuda/caching_allocator.h"
#include "cuda/pinned_cache.h"
#include "test_memory_fake_driver.h"

using namespace test;

namespace {

const Stream kOne = stream(1);
constexpr int kPairs = 30000;

// Keeps the compiler from leaving malloc out.
void seen(void* ptr) { asm volatile("" : : "g"(ptr) : "memory"); }

template <class Function>
double nanoseconds_each(int count, Function&& function) {
  double best = 1e9;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    function();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count() / count);
  }
  return best;
}

// Sizes as training has them; the largest ones too large for what malloc keeps.
std::vector<size_t> some_sizes(size_t count) {
  std::mt19937 random(11);
  std::vector<size_t> sizes(count);
  for (size_t& size : sizes) size = (size_t{512} << (random() % 14)) + random() % 2 * 512 * (random() % 8);
  return sizes;
}

// `live` blocks at any time, each replaced in turn.
template <class Get, class Drop>
double churn(size_t live, Get&& get, Drop&& drop) {
  const std::vector<size_t> sizes = some_sizes(4096);
  std::vector<void*> blocks(live, nullptr);
  for (size_t i = 0; i < live; ++i) blocks[i] = get(sizes[i % 4096]);
  std::mt19937 random(13);
  std::vector<uint32_t> order(kPairs);
  for (uint32_t& at : order) at = static_cast<uint32_t>(random() % live);
  const double time = nanoseconds_each(kPairs, [&] {
    for (int i = 0; i < kPairs; ++i) {
      void*& block = blocks[order[static_cast<size_t>(i)]];
      drop(block);
      block = get(sizes[static_cast<size_t>(i) % 4096]);
      seen(block);
    }
  });
  for (void* block : blocks) drop(block);
  return time;
}

void compare(bool expandable) {
  FakeDriver driver(64 * GiB);
  CachingAllocator allocator(0, driver, {0, expandable, {}});
  const auto get = [&](size_t bytes) {
    void* ptr = nullptr;
    (void)allocator.allocate(bytes, kOne, &ptr);
    return ptr;
  };
  const auto drop = [&](void* ptr) { (void)allocator.free(ptr); };
  printf("%s segments, ns for an allocation and its release (malloc's in brackets):\n",
         expandable ? "expandable" : "ordinary");
  for (size_t bytes : {size_t{512}, size_t{65536}, 4 * MiB}) {
    const auto pair = [&](auto&& get, auto&& drop) {
      return nanoseconds_each(kPairs, [&] {
        for (int i = 0; i < kPairs; ++i) {
          void* ptr = get(bytes);
          seen(ptr);
          drop(ptr);
        }
      });
    };
    printf("  one block of %-10s %6.1f (%.1f)\n", readable(bytes).c_str(), pair(get, drop), pair(malloc, ::free));
  }
  for (size_t live : {size_t{100}, size_t{1000}, size_t{10000}})
    printf("  %5zu live, mixed sizes %6.1f (%.1f)\n", live, churn(live, get, drop), churn(live, malloc, ::free));
}

}  // namespace

TEST(expandable_segments_beside_malloc) { compare(true); }
TEST(ordinary_segments_beside_malloc) { compare(false); }

TEST(pinned_blocks) {
  FakeDriver driver(GiB);
  PinnedCache cache(driver);
  const double time = nanoseconds_each(kPairs, [&] {
    for (int i = 0; i < kPairs; ++i) {
      void* ptr = nullptr;
      (void)cache.allocate(100000, &ptr);
      (void)cache.free(ptr);
    }
  });
  printf("pinned host cache: %.1f ns for an allocation and its release\n", time);
}

int main(int argc, char** argv) { return run(argc, argv); }
