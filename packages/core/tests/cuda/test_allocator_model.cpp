// The allocator against a model that knows only the rules: random programs on a small device, every answer checked.
#include <random>

#include "cuda/caching_allocator.h"
#include "test_memory_fake_driver.h"

using namespace test;

namespace {

constexpr uintptr_t kStreams = 4;
const Stream kCaptured = stream(9);

struct Live {
  size_t bytes;
  Stream owner;
  PoolId pool;
};

class Model {
 public:
  Model(uint32_t seed, bool expandable)
      : random_(seed), driver_(256 * MiB), allocator_(0, driver_, {0, expandable, {}}), expandable_(expandable) {}

  void run(int operations) {
    for (int i = 0; i < operations; ++i) {
      step();
      if (i % 64 == 0) check_everything();
    }
    finish();
  }

 private:
  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  size_t some_size() {
    switch (below(8)) {
      case 0:
        return 1 + below(24 * MiB);
      case 1:
        return 1 + below(4 * MiB);
      case 2:
      case 3:
        return 1 + below(MiB);
      case 4:
        return (size_t{1} << below(24)) + below(3);
      default:
        return 1 + below(8192);
    }
  }

  void step() {
    switch (below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
      case 6:
        return allocate();
      case 7:
      case 8:
      case 9:
      case 10:
      case 11:
      case 12:
        return release();
      case 13:
      case 14:
      case 15:
        return use();
      case 16:
      case 17:
        return driver_.advance(stream(1 + below(kStreams)), below(6));
      case 18:
        return below(8) == 0 ? empty_cache() : driver_.advance(kCaptured, 0);
      default:
        return below(4) == 0 ? capture() : graphs();
    }
  }

  void allocate() {
    const bool capturing = in_use_ != 0 && below(2) == 0;
    const Stream owner = capturing ? kCaptured : stream(1 + below(kStreams));
    const size_t bytes = some_size();
    void* ptr = nullptr;
    Status status = allocator_.allocate(bytes, owner, &ptr);
    if (!status) {
      CHECK_EQUAL(status.code, Status::kExhausted);
      // A device that is three quarters empty has room, unless a capture forbids to make it.
      CHECK(live_bytes_ + kept_bytes() + bytes > 64 * MiB || in_use_);
      ++refused_;
      return;
    }
    const uintptr_t begin = reinterpret_cast<uintptr_t>(ptr), end = begin + bytes;
    CHECK_EQUAL(begin % 512, uintptr_t{0});
    CHECK(driver_.backed(begin, end));
    auto next = live_.lower_bound(begin);
    CHECK(next == live_.end() || next->first >= end);
    CHECK(next == live_.begin() || std::prev(next)->first + std::prev(next)->second.bytes <= begin);
    CHECK(!driver_.busy(begin, end, &owner));
    const PoolId pool = capturing ? in_use_ : 0;
    for (const auto& [id, ranges] : kept_)
      if (id != pool)
        for (const auto& [from, to] : ranges) CHECK(to <= begin || from >= end);
    if (pool) kept_[pool].push_back({begin, end});
    live_[begin] = Live{bytes, owner, pool};
    live_bytes_ += bytes;
    driver_.use(owner, ptr, bytes);
  }

  std::map<uintptr_t, Live>::iterator some_live() {
    auto at = live_.begin();
    std::advance(at, below(live_.size()));
    return at;
  }

  void release() {
    if (live_.empty()) return;
    auto at = some_live();
    CHECK(allocator_.free(reinterpret_cast<void*>(at->first)));
    live_bytes_ -= at->second.bytes;
    live_.erase(at);
  }

  void use() {
    if (live_.empty()) return;
    auto at = some_live();
    if (at->second.pool) return;
    const Stream user = stream(1 + below(kStreams));
    // Views begin anywhere in their memory.
    const void* inside = reinterpret_cast<void*>(at->first + below(at->second.bytes));
    if (user != at->second.owner) CHECK(allocator_.record_stream(inside, user));
    driver_.use(user, reinterpret_cast<void*>(at->first), at->second.bytes);
  }

  void empty_cache() {
    Status status = allocator_.empty_cache();
    CHECK_EQUAL(static_cast<bool>(status), in_use_ == 0);
  }

  void capture() {
    if (!in_use_) {
      in_use_ = kept_.empty() || below(2) ? allocator_.create_pool() : kept_.begin()->first;
      kept_[in_use_];
      driver_.set_capturing(true);
      CHECK(allocator_.begin_allocate_to_pool(in_use_, {[](Stream s) { return s == kCaptured; }, true}));
    } else {
      driver_.set_capturing(false);
      CHECK(allocator_.end_allocate_to_pool(in_use_));
      in_use_ = 0;
    }
  }

  // Replays one, or lets go of one.
  void graphs() {
    if (in_use_ || kept_.empty()) return;
    auto& [id, ranges] = *kept_.begin();
    if (below(3)) {
      for (const auto& [from, to] : ranges) driver_.use(kCaptured, reinterpret_cast<void*>(from), to - from);
      return;
    }
    driver_.advance(kCaptured, 0);
    CHECK(allocator_.release_pool(id));
    CHECK(!allocator_.release_pool(id));
    kept_.erase(id);
  }

  size_t kept_bytes() const {
    size_t sum = 0;
    for (const auto& [id, ranges] : kept_)
      for (const auto& [from, to] : ranges) sum += to - from;
    return sum;
  }

  void check_everything() {
    CHECK_EQUAL(driver_.faults(), std::string());
    const MemoryStats stats = allocator_.stats();
    const Snapshot snapshot = allocator_.snapshot();
    size_t requested = 0, count = 0, allocated = 0, active = 0, mapped = 0, splits = 0;
    for (const SegmentInfo& segment : snapshot.segments) {
      uintptr_t at = segment.address;
      size_t backed = 0;
      BlockState previous = BlockState::kLive;
      for (const BlockInfo& block : segment.blocks) {
        CHECK_EQUAL(block.address, at);
        CHECK(block.bytes > 0 && block.bytes % 512 == 0);
        at += block.bytes;
        if (block.state != BlockState::kHole) backed += block.bytes;
        // Neighbours that could be one are one.
        CHECK(!(block.state == previous && (previous == BlockState::kFree || previous == BlockState::kHole)));
        previous = block.state;
        CHECK(block.state != BlockState::kHeld);
        if (block.state == BlockState::kFree && !segment.expandable && block.bytes < segment.mapped) ++splits;
        if (block.state == BlockState::kLive || block.state == BlockState::kWaiting) active += block.bytes;
        if (block.state != BlockState::kLive) continue;
        auto found = live_.find(block.address);
        CHECK(found != live_.end());
        CHECK_EQUAL(block.requested, found->second.bytes);
        CHECK_EQUAL(segment.stream, reinterpret_cast<uintptr_t>(found->second.owner));
        CHECK_EQUAL(segment.pool, found->second.pool);
        CHECK_EQUAL(segment.small, block.bytes <= CachingAllocator::kSmallLimit);
        requested += block.requested;
        allocated += block.bytes;
        ++count;
      }
      CHECK_EQUAL(backed, segment.mapped);
      mapped += backed;
    }
    CHECK_EQUAL(count, live_.size());
    CHECK_EQUAL(requested, live_bytes_);
    CHECK_EQUAL(mapped, driver_.used());
    CHECK_EQUAL(stats.current(kAllocation), static_cast<int64_t>(count));
    CHECK_EQUAL(stats.current(kRequestedBytes), static_cast<int64_t>(requested));
    CHECK_EQUAL(stats.current(kAllocatedBytes), static_cast<int64_t>(allocated));
    CHECK_EQUAL(stats.current(kActiveBytes), static_cast<int64_t>(active));
    CHECK_EQUAL(stats.current(kReservedBytes), static_cast<int64_t>(mapped));
    CHECK_EQUAL(stats.current(kSegment), static_cast<int64_t>(snapshot.segments.size()));
    CHECK_EQUAL(stats.current(kInactiveSplit), static_cast<int64_t>(splits));
    CHECK_EQUAL(stats.ooms, refused_);
    for (const auto& quantity : stats.stats) {
      CHECK_EQUAL(quantity[0].current, quantity[1].current + quantity[2].current);
      for (const Stat& stat : quantity) {
        CHECK_EQUAL(stat.current, stat.allocated - stat.freed);
        CHECK(stat.peak >= stat.current && stat.current >= 0);
      }
    }
  }

  void finish() {
    if (in_use_) capture();
    while (!live_.empty()) release();
    driver_.advance(kCaptured, 0);
    while (!kept_.empty()) {
      CHECK(allocator_.release_pool(kept_.begin()->first));
      kept_.erase(kept_.begin());
    }
    driver_.finish();
    CHECK(allocator_.empty_cache());
    check_everything();
    CHECK_EQUAL(driver_.used(), size_t{0});
    CHECK_EQUAL(driver_.reservations(), size_t{0});
    CHECK_EQUAL(allocator_.stats().current(kReservedBytes), int64_t{0});
    CHECK(refused_ > 0);
    const FakeDriver::Counts counts = driver_.counts();
    CHECK(expandable_ ? counts.unmaps > 0 : counts.releases > 0);
  }

  std::mt19937 random_;
  FakeDriver driver_;
  CachingAllocator allocator_;
  bool expandable_;
  std::map<uintptr_t, Live> live_;
  size_t live_bytes_ = 0;
  int64_t refused_ = 0;
  PoolId in_use_ = 0;
  std::map<PoolId, std::vector<std::pair<uintptr_t, uintptr_t>>> kept_;  // what graphs hold
};

}  // namespace

TEST(random_programs_with_expandable_segments) {
  for (uint32_t seed = 1; seed <= 12; ++seed) Model(seed, true).run(6000);
}

TEST(random_programs_with_ordinary_segments) {
  for (uint32_t seed = 101; seed <= 112; ++seed) Model(seed, false).run(6000);
}

int main(int argc, char** argv) { return run(argc, argv); }
