// The allocator's rules one by one.
#include "cuda/caching_allocator.h"
#include "test_memory_fake_driver.h"

using namespace test;

namespace {

const Stream kOne = stream(1), kTwo = stream(2);

AllocatorOptions plain() {
  AllocatorOptions options;
  options.expandable = false;
  return options;
}

char* get(CachingAllocator& allocator, size_t bytes, Stream on = kOne) {
  void* ptr = nullptr;
  CHECK(allocator.allocate(bytes, on, &ptr));
  return static_cast<char*>(ptr);
}

std::string refusal(CachingAllocator& allocator, size_t bytes, Stream on = kOne) {
  void* ptr = nullptr;
  Status status = allocator.allocate(bytes, on, &ptr);
  CHECK_EQUAL(status.code, Status::kExhausted);
  CHECK(ptr == nullptr);
  return status.text;
}

// ---- sites that count how often they are taken and released ----

int sites_alive = 0;
CachingAllocator* entered = nullptr;
uint64_t line = 0;
Site take() {
  ++sites_alive;
  return Site{{line, 7}};
}
// Whatever Python does in such a callback may allocate, on a new stream even.
void enter() {
  CachingAllocator* allocator = entered;
  if (!allocator) return;
  entered = nullptr;
  CHECK(allocator->free(get(*allocator, 100, stream(77))));
  CHECK(allocator->stats().current(kReservedBytes) > 0);
  entered = allocator;
}
void let_go(Site) {
  --sites_alive;
  enter();
}
void text(Site site, char* text, size_t size) {
  enter();
  snprintf(text, size, "train.py:%llu", static_cast<unsigned long long>(site.words[0]));
}
AllocatorOptions with_sites() {
  AllocatorOptions options;
  options.sites = {take, let_go, text};
  return options;
}

}  // namespace

TEST(sizes_are_rounded_to_512_bytes) {
  FakeDriver driver(GiB);
  CachingAllocator allocator(0, driver);
  void* none = &driver;
  CHECK(allocator.allocate(0, kOne, &none));
  CHECK(none == nullptr);
  CHECK(allocator.free(nullptr));
  char* first = get(allocator, 1);
  char* second = get(allocator, 513);
  char* third = get(allocator, 1);
  CHECK_EQUAL(second - first, 512);
  CHECK_EQUAL(third - second, 1024);
  CHECK_EQUAL(allocator.stats().current(kRequestedBytes), 515);
  CHECK_EQUAL(allocator.stats().current(kAllocatedBytes), 2048);
}

TEST(small_and_large_blocks_live_apart) {
  FakeDriver driver(GiB);
  CachingAllocator allocator(0, driver, plain());
  get(allocator, 1);
  get(allocator, MiB);
  CHECK_EQUAL(driver.used(), size_t{CachingAllocator::kSmallSegment});
  get(allocator, MiB + 1);
  CHECK_EQUAL(driver.used(), CachingAllocator::kSmallSegment + CachingAllocator::kLargeSegment);
  get(allocator, 11 * MiB);
  CHECK_EQUAL(driver.counts().allocations, size_t{2});  // what is left of the large segment holds it
  get(allocator, 13 * MiB);
  CHECK_EQUAL(driver.used(), CachingAllocator::kSmallSegment + CachingAllocator::kLargeSegment + 14 * MiB);
}

TEST(freed_blocks_are_reused_at_once_on_their_stream_only) {
  for (bool expandable : {true, false}) {
    FakeDriver driver(GiB);
    CachingAllocator allocator(0, driver, {0, expandable, {}});
    char* ptr = get(allocator, 3 * MiB);
    driver.use(kOne, ptr, 3 * MiB);
    CHECK(allocator.free(ptr));
    CHECK(get(allocator, 3 * MiB, kTwo) != ptr);
    CHECK(get(allocator, 3 * MiB) == ptr);
  }
}

TEST(neighbours_merge) {
  for (bool expandable : {true, false}) {
    FakeDriver driver(GiB);
    CachingAllocator allocator(0, driver, {0, expandable, {}});
    char* a = get(allocator, 4 * MiB);
    char* b = get(allocator, 4 * MiB);
    char* c = get(allocator, 4 * MiB);
    get(allocator, 2 * MiB);
    CHECK(b == a + 4 * MiB && c == b + 4 * MiB);
    CHECK(allocator.free(a));
    CHECK(allocator.free(c));
    CHECK(allocator.free(b));
    const size_t before = driver.used();
    CHECK(get(allocator, 12 * MiB) == a);
    CHECK_EQUAL(driver.used(), before);
  }
}

TEST(a_block_that_fits_is_taken_before_a_larger_one_is_split) {
  FakeDriver driver(GiB);
  CachingAllocator allocator(0, driver);
  char* large = get(allocator, 9 * MiB);
  get(allocator, 2 * MiB);
  char* fitting = get(allocator, 3 * MiB);
  get(allocator, 2 * MiB);
  CHECK(allocator.free(large));
  CHECK(allocator.free(fitting));
  CHECK(get(allocator, 3 * MiB) == fitting);
}

TEST(an_expandable_segment_grows_by_what_is_missing) {
  FakeDriver driver(GiB);
  CachingAllocator allocator(0, driver);
  char* first = get(allocator, 5 * MiB);
  CHECK_EQUAL(driver.used(), 6 * MiB);
  char* second = get(allocator, 9 * MiB);
  CHECK(second == first + 5 * MiB);  // across what was mapped for the first
  CHECK_EQUAL(driver.used(), 14 * MiB);
  CHECK(allocator.free(first));
  CHECK(allocator.free(second));
  CHECK(get(allocator, 100 * MiB) == first);
  CHECK_EQUAL(driver.used(), 100 * MiB);
  CHECK_EQUAL(driver.reservations(), size_t{1});
}

TEST(holes_are_filled_again) {
  FakeDriver driver(GiB);
  CachingAllocator allocator(0, driver);
  char* a = get(allocator, 40 * MiB);
  char* b = get(allocator, 40 * MiB);
  CHECK(allocator.free(a));
  CHECK(allocator.empty_cache());
  CHECK(driver.used() >= 40 * MiB && driver.used() < 80 * MiB);
  CHECK(driver.backed(reinterpret_cast<uintptr_t>(b), reinterpret_cast<uintptr_t>(b) + 40 * MiB));
  CHECK(get(allocator, 20 * MiB) == a);
  CHECK(allocator.free(b));
  CHECK_EQUAL(driver.faults(), std::string());
}

TEST(record_stream_defers_reuse_until_the_other_stream_has_passed) {
  for (bool expandable : {true, false}) {
    FakeDriver driver(GiB);
    CachingAllocator allocator(0, driver, {0, expandable, {}});
    char* ptr = get(allocator, 3 * MiB);
    CHECK(allocator.record_stream(ptr + 100, kTwo));
    CHECK(allocator.record_stream(ptr, kTwo));
    CHECK(allocator.record_stream(ptr, kOne));  // its own
    driver.use(kTwo, ptr, 3 * MiB);
    CHECK(allocator.free(ptr));
    CHECK_EQUAL(driver.counts().records, size_t{1});
    CHECK_EQUAL(allocator.stats().current(kAllocation), 0);
    CHECK_EQUAL(allocator.stats().current(kActive), 1);
    char* other = get(allocator, 3 * MiB);
    CHECK(other != ptr);
    driver.advance(kTwo);
    CHECK(allocator.free(other));
    // Two blocks that are free and neighbours are one now.
    CHECK(allocator.empty_cache());
    CHECK_EQUAL(allocator.stats().current(kActive), 0);
    CHECK_EQUAL(driver.used(), size_t{0});
    CHECK_EQUAL(driver.counts().waits, size_t{0});
  }
}

TEST(another_device_s_stream_waits_on_that_device) {
  FakeDriver here(GiB), there(GiB);
  CachingAllocator allocator(0, here);
  char* ptr = get(allocator, 3 * MiB);
  CHECK(allocator.record_stream(ptr, kOne, &there));  // not this device's stream of the same handle
  there.submit(kOne);
  CHECK(allocator.free(ptr));
  CHECK_EQUAL(there.counts().records, size_t{1});
  CHECK_EQUAL(here.counts().records, size_t{0});
  CHECK_EQUAL(allocator.stats().current(kActive), 1);
  there.advance(kOne);
  CHECK(allocator.empty_cache());
  CHECK_EQUAL(here.used(), size_t{0});
}

TEST(events_are_reused) {
  FakeDriver driver(GiB);
  CachingAllocator allocator(0, driver);
  for (int i = 0; i < 1000; ++i) {
    char* ptr = get(allocator, 3 * MiB);
    CHECK(allocator.record_stream(ptr, kTwo));
    driver.submit(kTwo);
    CHECK(allocator.free(ptr));
    driver.advance(kTwo, 3);
  }
  CHECK(driver.live_events() < 20);
}

TEST(what_is_not_a_live_allocation_is_refused) {
  FakeDriver driver(GiB);
  CachingAllocator allocator(0, driver);
  char* ptr = get(allocator, 1000);
  CHECK_EQUAL(allocator.free(ptr + 8).code, Status::kFailed);
  CHECK(allocator.free(ptr));
  CHECK_EQUAL(allocator.free(ptr).code, Status::kFailed);
  CHECK_EQUAL(allocator.record_stream(ptr, kTwo).code, Status::kFailed);
  CHECK_EQUAL(allocator.record_stream(&driver, kTwo).code, Status::kFailed);
}

TEST(unused_memory_of_other_streams_makes_room) {
  for (bool expandable : {true, false}) {
    FakeDriver driver(100 * MiB);
    CachingAllocator allocator(0, driver, {0, expandable, {}});
    CHECK(allocator.free(get(allocator, 60 * MiB)));
    get(allocator, 80 * MiB, kTwo);
    CHECK_EQUAL(allocator.stats().alloc_retries, 1);
    CHECK_EQUAL(allocator.stats().ooms, 0);
    CHECK_EQUAL(driver.faults(), std::string());
  }
}

TEST(pending_events_are_waited_for_before_an_error) {
  for (bool expandable : {true, false}) {
    FakeDriver driver(100 * MiB);
    CachingAllocator allocator(0, driver, {0, expandable, {}});
    char* ptr = get(allocator, 60 * MiB);
    CHECK(allocator.record_stream(ptr, kTwo));
    driver.use(kTwo, ptr, 60 * MiB);
    CHECK(allocator.free(ptr));
    CHECK(get(allocator, 60 * MiB) == ptr);
    CHECK_EQUAL(driver.counts().waits, size_t{1});
    CHECK_EQUAL(allocator.stats().sync_all_streams, 1);
    CHECK_EQUAL(allocator.stats().alloc_retries, 0);
  }
}

TEST(the_limit_holds) {
  for (bool expandable : {true, false}) {
    FakeDriver driver(GiB);
    CachingAllocator allocator(0, driver, {0, expandable, {}});
    CHECK(!allocator.set_memory_fraction(0));
    CHECK(!allocator.set_memory_fraction(1.5));
    CHECK(allocator.set_memory_fraction(0.0625));
    char* ptr = get(allocator, 40 * MiB);
    CHECK(refusal(allocator, 30 * MiB).find("memory limit of this process is 64.00 MiB") != std::string::npos);
    get(allocator, 23 * MiB);
    CHECK(driver.used() <= 64 * MiB);
    CHECK(allocator.free(ptr));
    get(allocator, 30 * MiB, kTwo);  // what the first stream let go of is given back for it
    CHECK(driver.used() <= 64 * MiB);
    allocator.set_limit(0);
    get(allocator, 300 * MiB);
  }
}

TEST(a_released_stream_is_never_asked_again) {
  FakeDriver driver(GiB);
  CachingAllocator allocator(0, driver);
  char* ptr = get(allocator, 3 * MiB);
  CHECK(allocator.record_stream(ptr, kTwo));
  CHECK(allocator.release_stream(kTwo));
  CHECK(allocator.free(ptr));
  CHECK_EQUAL(driver.counts().records, size_t{0});
  CHECK_EQUAL(allocator.stats().current(kActive), 0);
}

TEST(a_device_in_error_says_so) {
  for (bool expandable : {true, false}) {
    FakeDriver driver(GiB);
    CachingAllocator allocator(0, driver, {0, expandable, {}});
    char* ptr = get(allocator, 30 * MiB);
    char* shared = get(allocator, 30 * MiB);
    CHECK(allocator.record_stream(shared, kTwo));
    CHECK(allocator.free(ptr));
    driver.break_device();
    void* out = nullptr;
    Status status = allocator.allocate(100 * MiB, kOne, &out);
    CHECK_EQUAL(status.code, Status::kFailed);
    CHECK_EQUAL(status.text, std::string("an illegal memory access was encountered"));
    CHECK_EQUAL(allocator.free(shared).code, Status::kFailed);
    CHECK_EQUAL(allocator.empty_cache().code, Status::kFailed);
    CHECK_EQUAL(driver.faults(), std::string());
  }
}

// ---- private pools ----

TEST(a_captured_graph_keeps_its_memory) {
  for (bool expandable : {true, false}) {
    FakeDriver driver(200 * MiB);
    CachingAllocator allocator(0, driver, {0, expandable, {}});
    const PoolId pool = allocator.create_pool();
    CHECK(allocator.begin_allocate_to_pool(pool, {[](Stream s) { return s == kOne; }, true}));
    CHECK(!allocator.begin_allocate_to_pool(pool, {}));
    driver.set_capturing(true);
    char* captured = get(allocator, 50 * MiB);
    char* outside = get(allocator, 10 * MiB, kTwo);
    CHECK(allocator.record_stream(captured, kTwo));
    CHECK(allocator.free(captured));  // its event has to wait for the end
    CHECK_EQUAL(allocator.empty_cache().code, Status::kFailed);
    CHECK(refusal(allocator, 180 * MiB).find("a graph is being captured") != std::string::npos);
    driver.set_capturing(false);
    CHECK(allocator.end_allocate_to_pool(pool));
    CHECK(!allocator.end_allocate_to_pool(pool));
    CHECK_EQUAL(driver.faults(), std::string());

    CHECK(allocator.retain_pool(pool));
    CHECK(allocator.release_pool(pool));
    CHECK(allocator.free(outside));
    CHECK(allocator.empty_cache());
    CHECK(driver.used() >= 50 * MiB);
    refusal(allocator, 190 * MiB);
    CHECK(get(allocator, 20 * MiB) != captured);

    // The next capture into the same pool has the same memory.
    CHECK(allocator.begin_allocate_to_pool(pool, {nullptr, true}));
    char* again = get(allocator, 50 * MiB);
    CHECK(again == captured);
    CHECK(allocator.end_allocate_to_pool(pool));
    CHECK(allocator.release_pool(pool));
    CHECK(!allocator.retain_pool(pool));
    CHECK(allocator.empty_cache());
    CHECK(driver.backed(reinterpret_cast<uintptr_t>(again), reinterpret_cast<uintptr_t>(again) + 50 * MiB));
    CHECK(allocator.free(again));
    CHECK(allocator.empty_cache());
    CHECK(driver.used() < 50 * MiB);
  }
}

// ---- sites, history, reports ----

TEST(sites_are_released_once_each) {
  sites_alive = 0;
  {
    FakeDriver driver(100 * MiB);
    CachingAllocator allocator(0, driver, with_sites());
    char* a = get(allocator, 100);
    char* b = get(allocator, 10 * MiB);
    CHECK_EQUAL(sites_alive, 2);
    CHECK(allocator.free(a));
    CHECK_EQUAL(sites_alive, 1);
    refusal(allocator, 95 * MiB);
    CHECK_EQUAL(sites_alive, 1);
    allocator.record_history(3);
    for (int i = 0; i < 10; ++i) CHECK(allocator.free(get(allocator, 100)));
    CHECK(allocator.free(b));
    CHECK(sites_alive <= 3);
    CHECK(!allocator.free(b));
    CHECK(sites_alive <= 3);
    const Snapshot snapshot = allocator.snapshot();
    CHECK_EQUAL(snapshot.history.size(), size_t{3});
    CHECK(snapshot.history[0].action == Action::kFreeCompleted);
    CHECK(snapshot.history[1].action == Action::kFreeRequested);
    CHECK_EQUAL(snapshot.history[1].bytes, 10 * MiB);
    allocator.record_history(0);
    CHECK_EQUAL(sites_alive, 0);
    get(allocator, 1);
  }
  CHECK_EQUAL(sites_alive, 0);
}

TEST(callbacks_of_sites_may_allocate) {
  sites_alive = 0;
  FakeDriver driver(100 * MiB);
  CachingAllocator allocator(0, driver, with_sites());
  entered = &allocator;
  allocator.record_history(4);
  for (int i = 0; i < 4; ++i) {
    CHECK(allocator.free(get(allocator, 100)));
    get(allocator, MiB);
  }
  refusal(allocator, 99 * MiB);
  CHECK_EQUAL(allocator.snapshot().history.size(), size_t{4});
  CHECK(allocator.empty_cache());
  allocator.record_history(0);
  entered = nullptr;
  CHECK_EQUAL(sites_alive, 4);
}

TEST(out_of_memory_text) {
  FakeDriver driver(8 * GiB);
  driver.take_elsewhere(GiB);
  CachingAllocator allocator(1, driver, with_sites());
  line = 12;
  for (int i = 0; i < 3; ++i) get(allocator, GiB);
  line = 88;
  get(allocator, 2 * GiB + 1);
  line = 9;
  for (int i = 0; i < 40; ++i) get(allocator, 10000);
  line = 20;
  char* shared = get(allocator, 512 * MiB);
  CHECK(allocator.record_stream(shared, kTwo));
  line = 21;
  CHECK_EQUAL(refusal(allocator, 3 * GiB),
              std::string("expected 3.00 GiB to be available on cuda:1, but 1.50 GiB of its 8.00 GiB are free; this "
                          "process holds 5.50 GiB: 5.50 GiB in 45 live allocations, 3.61 MiB cached in blocks of up "
                          "to 2.00 MiB\n"
                          "largest live allocations:\n"
                          "  3.00 GiB in 3 of up to 1.00 GiB, made at train.py:12\n"
                          "  2.00 GiB, made at train.py:88\n"
                          "  512.00 MiB, made at train.py:20\n"
                          "  400.00 KiB in 40 of up to 10.00 KiB, made at train.py:9\n"
                          "what to do: use a smaller batch, drop references to tensors that are no longer needed, run "
                          "without recording gradients what needs none, or recompute activations (checkpointing)"));
  line = 0;
}

TEST(out_of_memory_text_without_lines) {
  FakeDriver driver(GiB);
  CachingAllocator allocator(0, driver, plain());
  get(allocator, 300 * MiB);
  get(allocator, 300 * MiB);
  CHECK_EQUAL(refusal(allocator, 2 * GiB),
              std::string("expected 2.00 GiB to be available on cuda:0, but 424.00 MiB of its 1.00 GiB are free; this "
                          "process holds 600.00 MiB: 600.00 MiB in 2 live allocations, 0 bytes cached\n"
                          "largest live allocations:\n"
                          "  600.00 MiB in 2 of up to 300.00 MiB, made by an unknown line\n"
                          "what to do: the device is smaller than this one allocation; check its shape"));
  CHECK(refusal(allocator, ~size_t{0}).find("expected 16.00 EiB") == 0);
}

TEST(readable_sizes) {
  CHECK_EQUAL(readable(0), std::string("0 bytes"));
  CHECK_EQUAL(readable(1), std::string("1 byte"));
  CHECK_EQUAL(readable(1023), std::string("1023 bytes"));
  CHECK_EQUAL(readable(1024), std::string("1.00 KiB"));
  CHECK_EQUAL(readable(MiB - 1), std::string("1.00 MiB"));
  CHECK_EQUAL(readable(3 * GiB / 2), std::string("1.50 GiB"));
}

TEST(statistics_reset) {
  FakeDriver driver(GiB);
  CachingAllocator allocator(0, driver);
  CHECK(allocator.free(get(allocator, 100 * MiB)));
  get(allocator, MiB);
  CHECK_EQUAL(allocator.stats().peak(kAllocatedBytes), int64_t{100} << 20);
  allocator.reset_peak_stats();
  CHECK_EQUAL(allocator.stats().peak(kAllocatedBytes), int64_t{1} << 20);
  allocator.reset_accumulated_stats();
  CHECK_EQUAL(allocator.stats().stats[kAllocation][0].allocated, 0);
  CHECK_EQUAL(allocator.stats().current(kAllocation), 1);
}

// Not a check: what test_allocator_host.py reads.
TEST(json) {
  FakeDriver driver(GiB);
  CachingAllocator allocator(0, driver, with_sites());
  allocator.record_history(100);
  line = 5;
  get(allocator, 1000);
  char* ptr = get(allocator, 5 * MiB);
  CHECK(allocator.record_stream(ptr, kTwo));
  driver.submit(kTwo);
  CHECK(allocator.free(ptr));
  printf("%s\n%s\n", to_json(allocator.stats()).c_str(), to_json(allocator.snapshot()).c_str());
  line = 0;
}

int main(int argc, char** argv) { return run(argc, argv); }
