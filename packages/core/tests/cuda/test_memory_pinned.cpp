// The pinned host cache: its rules, and random programs on several threads of copies against a model.
#include <random>

#include "cuda/pinned_cache.h"
#include "test_memory_fake_driver.h"

using namespace test;

namespace {

const Stream kOne = stream(1), kTwo = stream(2);

char* get(PinnedCache& cache, size_t bytes) {
  void* ptr = nullptr;
  CHECK(cache.allocate(bytes, &ptr));
  return static_cast<char*>(ptr);
}

}  // namespace

TEST(blocks_are_reused_by_class) {
  FakeDriver driver(GiB);
  PinnedCache cache(driver);
  char* ptr = get(cache, 1000);
  CHECK_EQUAL(cache.stats().reserved_bytes, size_t{4096});
  CHECK(cache.free(ptr));
  CHECK(get(cache, 4096) == ptr);
  CHECK(cache.free(get(cache, 4097)));
  CHECK_EQUAL(cache.stats().reserved_bytes, size_t{4096 + 5120});
  CHECK(cache.free(get(cache, 5120)));
  CHECK_EQUAL(cache.stats().host_alloc, size_t{2});
  CHECK(cache.empty_cache());
  CHECK_EQUAL(driver.host_used(), size_t{4096});
  CHECK_EQUAL(cache.stats().segments, size_t{1});
}

TEST(classes_waste_less_than_a_fifth) {
  FakeDriver driver(64 * GiB);
  PinnedCache cache(driver);
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    const size_t bytes = 4096 + (random() & ((size_t{1} << (12 + random() % 20)) - 1));
    const size_t before = cache.stats().allocated_bytes;
    char* ptr = get(cache, bytes);
    const size_t got = cache.stats().allocated_bytes - before;
    CHECK(got >= bytes && static_cast<double>(got - bytes) < 0.2 * static_cast<double>(got));
    CHECK(cache.free(ptr));
    CHECK(cache.empty_cache());
  }
}

TEST(a_copy_keeps_its_block) {
  FakeDriver driver(GiB), other(GiB);
  PinnedCache cache(driver);
  char* ptr = get(cache, MiB);
  CHECK(cache.contains(ptr + MiB - 1));
  CHECK(!cache.contains(ptr + MiB));
  CHECK(!cache.record(&driver, {&driver, kOne}));
  CHECK(cache.record(ptr + 5, {&driver, kOne}));
  CHECK(cache.record(ptr + 5, {&driver, kOne}));
  CHECK(cache.record(ptr, {&other, kOne}));
  driver.use(kOne, ptr, MiB);
  other.submit(kOne);
  CHECK(cache.free(ptr));
  CHECK_EQUAL(cache.free(ptr).code, Status::kFailed);
  CHECK(!cache.contains(ptr));
  CHECK_EQUAL(driver.counts().records + other.counts().records, size_t{2});
  CHECK(get(cache, MiB) != ptr);
  driver.advance(kOne);
  CHECK(get(cache, MiB) != ptr);
  other.advance(kOne);
  CHECK(get(cache, MiB) == ptr);
  CHECK_EQUAL(driver.counts().blocking() + other.counts().blocking(), size_t{0});
}

TEST(what_is_kept_makes_room) {
  FakeDriver driver(100 * MiB);
  PinnedCache cache(driver);
  CHECK(cache.free(get(cache, 60 * MiB)));
  get(cache, 80 * MiB);
  void* out = nullptr;
  Status status = cache.allocate(30 * MiB, &out);
  CHECK_EQUAL(status.code, Status::kExhausted);
  CHECK_EQUAL(status.text,
              std::string("expected 30.00 MiB of pinned host memory to be available, but the system refused "
                          "them; this process holds 80.00 MiB, 80.00 MiB of it in use; pin less, or use "
                          "pageable memory"));
  CHECK_EQUAL(cache.allocate(~size_t{0}, &out).code, Status::kExhausted);
}

TEST(random_copies) {
  FakeDriver driver(4 * GiB);
  PinnedCache cache(driver);
  std::mt19937 random(5);
  std::map<char*, size_t> live;
  for (int i = 0; i < 30000; ++i) {
    const Stream user = random() % 2 ? kOne : kTwo;
    switch (random() % 8) {
      case 0:
      case 1:
      case 2: {
        const size_t bytes = 1 + random() % (size_t{1} << (random() % 22));
        char* ptr = get(cache, bytes);
        const uintptr_t begin = reinterpret_cast<uintptr_t>(ptr);
        CHECK(!driver.busy(begin, begin + bytes));
        auto next = live.lower_bound(ptr);
        CHECK(next == live.end() || next->first >= ptr + bytes);
        CHECK(next == live.begin() || std::prev(next)->first + std::prev(next)->second <= ptr);
        live[ptr] = bytes;
        break;
      }
      case 3:
      case 4:
      case 5:
        if (!live.empty()) {
          auto at = live.begin();
          std::advance(at, random() % live.size());
          if (random() % 2) {
            CHECK(cache.record(at->first + random() % at->second, {&driver, user}));
            driver.use(user, at->first, at->second);
          }
          CHECK(cache.free(at->first));
          live.erase(at);
        }
        break;
      case 6:
        driver.advance(user, random() % 10);
        break;
      default:
        if (random() % 64 == 0) CHECK(cache.empty_cache());
    }
  }
  for (const auto& [ptr, bytes] : live) CHECK(cache.free(ptr));
  driver.finish();
  CHECK(cache.empty_cache());
  CHECK_EQUAL(driver.faults(), std::string());
  CHECK_EQUAL(driver.host_used(), size_t{0});
}

int main(int argc, char** argv) { return run(argc, argv); }
