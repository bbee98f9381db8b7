// A device that exists in numbers only: memory of a limited size, streams that do their work when told, events, and
// virtual memory. It keeps a list of whatever a real device would have punished.
//
// And the two macros of these test programs: TEST(name) { ... CHECK(condition) ... }; a program without arguments runs
// all its tests, with arguments those that are named.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/memory_driver.h"

namespace test {

using namespace atled::cuda;

struct Case {
  const char* name;
  void (*run)();
};
inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
struct Register {
  Register(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

inline void fail(const char* file, int line, const std::string& text) {
  fprintf(stderr, "%s:%d: %s\n", file, line, text.c_str());
  std::exit(1);
}

#define TEST(name)                                    \
  static void name();                                 \
  static test::Register register_##name{#name, name}; \
  static void name()
#define CHECK(condition) ((condition) ? (void)0 : test::fail(__FILE__, __LINE__, "expected " #condition))
#define CHECK_EQUAL(a, b) \
  ((a) == (b)             \
       ? (void)0          \
       : test::fail(__FILE__, __LINE__, "expected " #a " == " #b ", got " + test::show(a) + " and " + test::show(b)))

inline std::string show(const std::string& value) { return "\n" + value + "\n"; }
template <class Number>
std::string show(Number value) {
  return std::to_string(value);
}

inline int run(int argc, char** argv) {
  int ran = 0;
  for (const Case& one : cases()) {
    bool wanted = argc < 2;
    for (int i = 1; i < argc; ++i) wanted |= std::strcmp(argv[i], one.name) == 0;
    if (!wanted) continue;
    one.run();
    ++ran;
  }
  return ran ? 0 : 2;
}

constexpr size_t MiB = size_t{1} << 20;
constexpr size_t GiB = size_t{1} << 30;

inline Stream stream(uintptr_t n) { return reinterpret_cast<Stream>(n); }

class FakeDriver : public Driver {
 public:
  explicit FakeDriver(size_t total, size_t granularity = 2 * MiB) : total_(total), granularity_(granularity) {}

  // ---- what the tests do and ask ----
  struct Counts {
    size_t allocations = 0, releases = 0, maps = 0, unmaps = 0, waits = 0, synchronizations = 0, records = 0,
           queries = 0, events = 0, host_allocations = 0, host_releases = 0;
    size_t memory_calls() const { return allocations + releases + maps + unmaps; }
    size_t blocking() const { return waits + synchronizations; }
  };
  Counts counts() {
    std::lock_guard<std::mutex> lock(mutex_);
    return counts_;
  }
  // The stream will read and write [ptr, ptr + bytes).
  void use(Stream stream, const void* ptr, size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    work_.push_back(Work{stream, ++streams_[stream].submitted, address(ptr), address(ptr) + bytes});
  }
  // So much work that touches nothing.
  void submit(Stream stream, uint64_t amount = 1) {
    std::lock_guard<std::mutex> lock(mutex_);
    streams_[stream].submitted += amount;
  }
  // The stream does all but the last `behind` pieces of its work.
  void advance(Stream stream, uint64_t behind = 0) {
    std::lock_guard<std::mutex> lock(mutex_);
    Progress& progress = streams_[stream];
    if (progress.submitted > behind) progress.done = std::max(progress.done, progress.submitted - behind);
    forget_done();
  }
  void finish() {
    std::lock_guard<std::mutex> lock(mutex_);
    finish_locked();
  }
  bool busy(uintptr_t begin, uintptr_t end, const Stream* but = nullptr) {
    std::lock_guard<std::mutex> lock(mutex_);
    return busy_locked(begin, end, but);
  }
  // Whether all of the range has memory.
  bool backed(uintptr_t begin, uintptr_t end) {
    std::lock_guard<std::mutex> lock(mutex_);
    while (begin < end) {
      auto found = memory_.upper_bound(begin);
      if (found == memory_.begin()) return false;
      --found;
      if (begin >= found->first + found->second.bytes) return false;
      begin = found->first + found->second.bytes;
    }
    return true;
  }
  size_t used() {
    std::lock_guard<std::mutex> lock(mutex_);
    return used_;
  }
  size_t host_used() {
    std::lock_guard<std::mutex> lock(mutex_);
    return host_used_;
  }
  size_t reservations() {
    std::lock_guard<std::mutex> lock(mutex_);
    return reserved_.size();
  }
  size_t live_events() {
    std::lock_guard<std::mutex> lock(mutex_);
    return events_.size();
  }
  void set_capturing(bool capturing) {
    std::lock_guard<std::mutex> lock(mutex_);
    capturing_ = capturing;
  }
  void take_elsewhere(size_t bytes) {  // by another process
    std::lock_guard<std::mutex> lock(mutex_);
    used_ += bytes;
  }
  void break_device() {
    std::lock_guard<std::mutex> lock(mutex_);
    broken_ = true;
  }
  std::string faults() {
    std::lock_guard<std::mutex> lock(mutex_);
    std::string all;
    for (const std::string& fault : faults_) all += fault + "\n";
    return all;
  }

  // ---- Driver ----
  Status memory_info(size_t* free, size_t* total) override {
    std::lock_guard<std::mutex> lock(mutex_);
    *total = total_;
    *free = total_ - used_;
    return {};
  }
  Status allocate(size_t bytes, void** out) override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.allocations;
    if (broken_) return error();
    if (bytes > total_ - used_) return {Status::kExhausted, "out of memory"};
    *out = pointer(fresh(bytes));
    memory_[address(*out)] = Memory{bytes, 0};
    used_ += bytes;
    return {};
  }
  Status release(void* memory) override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.releases;
    if (broken_) return error();
    if (capturing_) faults_.push_back("memory released during a capture");
    finish_locked();  // as cudaFree does
    auto found = memory_.find(address(memory));
    if (found == memory_.end() || found->second.chunk) return fault("release of what was not allocated");
    used_ -= found->second.bytes;
    memory_.erase(found);
    return {};
  }
  size_t granularity() override { return granularity_; }
  Status reserve(size_t bytes, void** out) override {
    std::lock_guard<std::mutex> lock(mutex_);
    if (bytes % granularity_) return fault("reservation of a part of a granule");
    *out = pointer(fresh(bytes));
    reserved_[address(*out)] = bytes;
    return {};
  }
  Status unreserve(void* base, size_t bytes) override {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = reserved_.find(address(base));
    if (found == reserved_.end() || found->second != bytes) return fault("unreserve of what was not reserved");
    auto inside = memory_.lower_bound(address(base));
    if (inside != memory_.end() && inside->first < address(base) + bytes) return fault("unreserve of mapped addresses");
    reserved_.erase(found);
    return {};
  }
  Status map(void* at, size_t bytes, Chunk* out) override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.maps;
    if (broken_) return error();
    if (bytes % granularity_ || bytes == 0) return fault("mapping of a part of a granule");
    if (bytes > total_ - used_) return {Status::kExhausted, "out of memory"};
    const uintptr_t begin = address(at);
    auto range = reserved_.upper_bound(begin);
    if (range == reserved_.begin()) return fault("mapping at an address that is not reserved");
    --range;
    if (begin + bytes > range->first + range->second) return fault("mapping beyond what is reserved");
    auto next = memory_.lower_bound(begin);
    if (next != memory_.end() && next->first < begin + bytes) return fault("mapping over a mapping");
    if (next != memory_.begin() && std::prev(next)->first + std::prev(next)->second.bytes > begin)
      return fault("mapping over a mapping");
    *out = ++last_chunk_;
    memory_[begin] = Memory{bytes, *out};
    used_ += bytes;
    return {};
  }
  Status unmap(void* at, size_t bytes, Chunk chunk) override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.unmaps;
    if (broken_) return error();
    auto found = memory_.find(address(at));
    if (found == memory_.end() || found->second.bytes != bytes || found->second.chunk != chunk)
      return fault("unmapping of what was not mapped so");
    if (busy_locked(address(at), address(at) + bytes, nullptr)) faults_.push_back("memory unmapped while it is used");
    used_ -= bytes;
    memory_.erase(found);
    return {};
  }
  Status event_create(Event* out) override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.events;
    *out = reinterpret_cast<Event>(++last_event_);
    events_[*out] = Recorded{nullptr, 0};
    return {};
  }
  void event_destroy(Event event) override {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!events_.erase(event)) faults_.push_back("an event destroyed twice");
  }
  Status event_record(Event event, Stream stream) override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.records;
    if (broken_) return error();
    if (capturing_) faults_.push_back("event recorded during a capture");
    events_.at(event) = Recorded{stream, streams_[stream].submitted};
    return {};
  }
  Status event_query(Event event, bool* passed) override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.queries;
    if (broken_) return error();
    if (capturing_) faults_.push_back("event queried during a capture");
    const Recorded& recorded = events_.at(event);
    *passed = streams_[recorded.stream].done >= recorded.at;
    return {};
  }
  Status event_wait(Event event) override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.waits;
    if (broken_) return error();
    if (capturing_) faults_.push_back("event waited for during a capture");
    const Recorded& recorded = events_.at(event);
    streams_[recorded.stream].done = std::max(streams_[recorded.stream].done, recorded.at);
    forget_done();
    return {};
  }
  Status synchronize() override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.synchronizations;
    if (broken_) return error();
    if (capturing_) faults_.push_back("device synchronized during a capture");
    finish_locked();
    return {};
  }
  Status host_allocate(size_t bytes, void** out) override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.host_allocations;
    if (bytes > total_ - host_used_) return {Status::kExhausted, "out of host memory"};
    *out = pointer(fresh(bytes));
    host_[address(*out)] = bytes;
    host_used_ += bytes;
    return {};
  }
  Status host_release(void* memory) override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.host_releases;
    auto found = host_.find(address(memory));
    if (found == host_.end()) return fault("host release of what was not allocated");
    if (busy_locked(found->first, found->first + found->second, nullptr))
      faults_.push_back("host memory released while it is used");
    host_used_ -= found->second;
    host_.erase(found);
    return {};
  }

 private:
  struct Progress {
    uint64_t submitted = 0, done = 0;
  };
  struct Work {
    Stream stream;
    uint64_t at;
    uintptr_t begin, end;
  };
  struct Memory {
    size_t bytes;
    Chunk chunk;  // 0 for ordinary memory
  };
  struct Recorded {
    Stream stream;
    uint64_t at;
  };

  static uintptr_t address(const void* ptr) { return reinterpret_cast<uintptr_t>(ptr); }
  static void* pointer(uintptr_t address) { return reinterpret_cast<void*>(address); }
  static Status error() { return {Status::kFailed, "an illegal memory access was encountered"}; }
  Status fault(const char* text) {
    faults_.push_back(text);
    return {Status::kFailed, text};
  }
  uintptr_t fresh(size_t bytes) {  // no address comes twice, so whatever is stale shows
    const uintptr_t base = next_;
    next_ += (bytes + 2 * MiB - 1) / (2 * MiB) * (2 * MiB) + 2 * MiB;
    return base;
  }
  bool busy_locked(uintptr_t begin, uintptr_t end, const Stream* but) {
    return std::any_of(work_.begin(), work_.end(), [&](const Work& work) {
      return work.begin < end && begin < work.end && !(but && work.stream == *but) &&
             streams_[work.stream].done < work.at;
    });
  }
  void forget_done() {
    work_.erase(std::remove_if(work_.begin(), work_.end(),
                               [&](const Work& work) { return streams_[work.stream].done >= work.at; }),
                work_.end());
  }
  void finish_locked() {
    for (auto& [stream, progress] : streams_) progress.done = progress.submitted;
    work_.clear();
  }

  std::mutex mutex_;
  size_t total_, granularity_;
  size_t used_ = 0, host_used_ = 0;
  uintptr_t next_ = uintptr_t{1} << 44;
  uintptr_t last_event_ = 0;
  Chunk last_chunk_ = 0;
  bool capturing_ = false, broken_ = false;
  std::map<uintptr_t, Memory> memory_;
  std::map<uintptr_t, size_t> reserved_, host_;
  std::map<Stream, Progress> streams_;
  std::map<Event, Recorded> events_;
  std::vector<Work> work_;
  std::vector<std::string> faults_;
  Counts counts_;
};

}  // namespace test
