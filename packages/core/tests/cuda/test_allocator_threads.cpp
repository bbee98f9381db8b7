// Many threads at once, for the thread sanitizer: allocations that cross threads and streams, on a device so small that
// memory is given back and refused all the time, beside snapshots, statistics, captures and the pinned cache.
#include <atomic>
#include <random>
#include <thread>

#include "cuda/caching_allocator.h"
#include "cuda/pinned_cache.h"
#include "test_memory_fake_driver.h"

using namespace test;

namespace {

std::atomic<int> sites_alive{0};

AllocatorOptions with_sites(bool expandable) {
  AllocatorOptions options;
  options.expandable = expandable;
  options.sites.take = [] {
    sites_alive.fetch_add(1);
    return Site{{1, 2}};
  };
  options.sites.release = [](Site) { sites_alive.fetch_sub(1); };
  options.sites.text = [](Site, char* text, size_t size) { snprintf(text, size, "train.py:1"); };
  return options;
}

// Blocks on their way from the thread that allocated them to the one that frees them.
class Exchange {
 public:
  void* swap(void* ptr, size_t at) { return slots_[at % 64].exchange(ptr); }
  std::atomic<void*>* begin() { return slots_; }
  std::atomic<void*>* end() { return slots_ + 64; }

 private:
  std::atomic<void*> slots_[64] = {};
};

void hammer(bool expandable) {
  {
    FakeDriver driver(96 * MiB);
    CachingAllocator allocator(0, driver, with_sites(expandable));
    PinnedCache pinned(driver);
    Exchange exchange;
    std::atomic<bool> done{false};
    std::vector<std::thread> threads;
    for (unsigned id = 0; id < 4; ++id)
      threads.emplace_back([&, id] {
        std::mt19937 random(id);
        for (int i = 0; i < 3000; ++i) {
          const Stream own = stream(1 + random() % 3), other = stream(1 + random() % 3);
          void* ptr = nullptr;
          const size_t bytes = 1 + random() % (random() % 4 ? 100000 : 8 * MiB);
          if (allocator.allocate(bytes, own, &ptr) && random() % 4 == 0) {
            CHECK(allocator.record_stream(ptr, other));
            driver.submit(other);
          }
          CHECK(allocator.free(exchange.swap(ptr, random())));
          if (i % 8 == 0) {
            void* host = nullptr;
            CHECK(pinned.allocate(1 + random() % 100000, &host));
            CHECK(pinned.record(host, {&driver, other}));
            CHECK(pinned.free(host));
          }
          if (i % 16 == 0) driver.advance(other, 2);
          if (i % 500 == 0) (void)allocator.empty_cache();
          if (i % 500 == 250) CHECK(pinned.empty_cache());
        }
      });
    threads.emplace_back([&] {
      while (!done.load()) {
        const PoolId pool = allocator.create_pool();
        CHECK(allocator.begin_allocate_to_pool(pool, {[](Stream s) { return s == stream(9); }, true}));
        void* ptr = nullptr;
        (void)allocator.allocate(MiB, stream(9), &ptr);
        CHECK(allocator.end_allocate_to_pool(pool));
        CHECK(allocator.free(ptr));
        CHECK(allocator.release_pool(pool));
        allocator.record_history(50);
        const Snapshot snapshot = allocator.snapshot();
        CHECK(!to_json(snapshot).empty());
        CHECK(!to_json(allocator.stats()).empty());
        std::this_thread::yield();
      }
    });
    for (size_t i = 0; i < 4; ++i) threads[i].join();
    done = true;
    threads.back().join();
    for (std::atomic<void*>& slot : exchange) CHECK(allocator.free(slot.load()));
    driver.finish();
    CHECK(allocator.empty_cache());
    CHECK(pinned.empty_cache());
    CHECK_EQUAL(driver.faults(), std::string());
    CHECK_EQUAL(driver.used(), size_t{0});
    CHECK_EQUAL(driver.host_used(), size_t{0});
    CHECK_EQUAL(allocator.stats().current(kAllocation), int64_t{0});
  }
  CHECK_EQUAL(sites_alive.load(), 0);
}

}  // namespace

TEST(threads_with_expandable_segments) { hammer(true); }
TEST(threads_with_ordinary_segments) { hammer(false); }

int main(int argc, char** argv) { return run(argc, argv); }
