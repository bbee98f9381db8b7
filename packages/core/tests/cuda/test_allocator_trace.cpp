// Training of a transformer, as its allocations: parameters and optimizer state that stay, activations from the forward
// to the backward pass, gradients, workspaces, parameters gathered on a communication stream and batches copied on
// another one, sequence lengths that change from step to step. The host runs ahead of the device.
#include <random>

#include "cuda/caching_allocator.h"
#include "test_memory_fake_driver.h"

using namespace test;

namespace {

const Stream kCompute = stream(1), kCommunication = stream(2), kCopy = stream(3);
constexpr int kLayers = 16, kSteps = 4000, kWarmUp = 1000;
constexpr size_t kBatch = 8, kWidth = 1024, kVocabulary = 16384;
constexpr uint64_t kAhead = 200;  // allocations: a fifth of a step

class Training {
 public:
  Training(bool expandable, bool lengths_vary, Stream reduced_on = kCompute)
      : driver_(40 * GiB),
        allocator_(0, driver_, {0, expandable, {}}),
        lengths_vary_(lengths_vary),
        reduced_on_(reduced_on) {
    for (int layer = 0; layer < kLayers; ++layer)
      for (size_t size : kWeights) {
        get(size * 2);                                       // bfloat16
        for (int copy = 0; copy < 3; ++copy) get(size * 4);  // float32: master copy, two moments
      }
    for (int copy = 0; copy < 4; ++copy) get(kVocabulary * kWidth * 4);
  }

  void step() {
    static constexpr size_t kLengths[] = {384, 512, 640, 768, 896, 1024};
    const size_t length = lengths_vary_ ? kLengths[random_() % 6] + random_() % 3 * 8 : 1024;
    const size_t rows = kBatch * length;
    const size_t narrow = rows * kWidth * 2, wide = 4 * narrow;

    void* batch = get(rows * 8, kCopy);
    CHECK(allocator_.record_stream(batch, kCompute));
    std::vector<std::vector<void*>> saved(kLayers + 1);
    void* x = get(narrow);
    for (int layer = 0; layer < kLayers; ++layer) {
      void* gathered = gather();
      auto& keep = saved[static_cast<size_t>(layer)];
      keep.push_back(x);
      for (size_t size : {rows * 4, rows * 4, narrow, 3 * narrow, rows * 16 * 4, narrow}) keep.push_back(get(size));
      for (int i = 0; i < 12; ++i) drop(get(256 + random_() % 4096));  // scalars, masks, seeds
      void* workspace = get(32 * MiB);
      void* attended = get(narrow);
      drop(workspace);
      keep.push_back(get(narrow));
      drop(attended);
      for (size_t size : {rows * 4, rows * 4, narrow, wide, wide}) keep.push_back(get(size));
      x = get(narrow);
      drop(gathered);
    }
    saved[kLayers].push_back(x);
    void* logits = get(rows * kVocabulary * 2);
    void* losses = get(rows * 4);
    void* loss = get(4);
    void* slope = get(rows * kVocabulary * 2);
    drop(losses);
    drop(logits);
    std::vector<void*> gradients{get(kVocabulary * kWidth * 4)};
    void* g = get(narrow);
    drop(slope);
    drop(saved[kLayers][0]);
    for (size_t layer = kLayers; layer-- > 0;) {
      void* gathered = gather();
      void* hidden = get(wide);
      void* workspace = get(32 * MiB);
      void* activated = get(wide);
      drop(workspace);
      drop(hidden);
      void* through = get(narrow);
      drop(activated);
      for (size_t i = saved[layer].size(); i-- > saved[layer].size() / 2;) drop(saved[layer][i]);
      void* attention = get(3 * narrow);
      void* next = get(narrow);
      drop(attention);
      drop(through);
      drop(g);
      g = next;
      for (size_t i = saved[layer].size() / 2; i-- > 0;) drop(saved[layer][i]);
      for (size_t size : kWeights) {
        void* gradient = get(size * 2);
        CHECK(allocator_.record_stream(gradient, kCommunication));
        void* reduced = get(size * 4, reduced_on_);
        CHECK(allocator_.record_stream(reduced, reduced_on_ == kCompute ? kCommunication : kCompute));
        drop(gradient);
        gradients.push_back(reduced);
      }
      drop(gathered);
    }
    drop(g);
    void* norms = get(gradients.size() * 4);
    for (void* gradient : gradients) {
      drop(get(512));
      drop(gradient);
    }
    drop(norms);
    drop(loss);
    drop(batch);
  }

  // What may be reserved at most, of the live bytes at their peak, and how often memory may be got after the warm-up.
  void run(const char* name, double most_reserved, size_t most_calls) {
    FakeDriver::Counts before;
    for (int i = 0; i < kSteps; ++i) {
      if (i == kWarmUp) before = driver_.counts();
      step();
    }
    const FakeDriver::Counts after = driver_.counts();
    const MemoryStats stats = allocator_.stats();
    const size_t memory_calls = after.memory_calls() - before.memory_calls();
    const size_t blocking = after.blocking() - before.blocking();
    const double ratio = static_cast<double>(stats.peak(kReservedBytes)) / static_cast<double>(live_peak_);
    printf("%-34s live %s, reserved %s: %.3f; waiting at most %s\n", name, readable(live_peak_).c_str(),
           readable(static_cast<size_t>(stats.peak(kReservedBytes))).c_str(), ratio,
           readable(static_cast<size_t>(stats.peak(kActiveBytes)) - live_peak_).c_str());
    printf(
        "%-34s after step %d of %d: %zu driver allocations and frees, %zu waits; a step has %.0f events recorded, "
        "%.0f queried and %.0f allocations\n",
        "", kWarmUp, kSteps, memory_calls, blocking,
        static_cast<double>(after.records - before.records) / (kSteps - kWarmUp),
        static_cast<double>(after.queries - before.queries) / (kSteps - kWarmUp),
        static_cast<double>(stats.stats[kAllocation][0].allocated) / kSteps);
    CHECK_EQUAL(driver_.faults(), std::string());
    CHECK_EQUAL(blocking, size_t{0});
    CHECK(memory_calls <= most_calls);
    CHECK(ratio <= most_reserved);
  }

 private:
  static constexpr size_t kWeights[] = {
      3 * kWidth * kWidth, kWidth * kWidth, 4 * kWidth * kWidth, 4 * kWidth * kWidth, kWidth, kWidth, kWidth,
      4 * kWidth};

  void* get(size_t bytes, Stream on = kCompute) {
    void* ptr = nullptr;
    CHECK(allocator_.allocate(bytes, on, &ptr));
    live_[ptr] = bytes;
    live_bytes_ += bytes;
    live_peak_ = std::max(live_peak_, live_bytes_);
    // One clock for all streams: the device is where the host was kAhead allocations ago.
    for (Stream each : {kCompute, kCommunication, kCopy}) {
      driver_.submit(each);
      driver_.advance(each, kAhead);
    }
    return ptr;
  }

  void drop(void* ptr) {
    live_bytes_ -= live_.at(ptr);
    live_.erase(ptr);
    CHECK(allocator_.free(ptr));
  }

  // A layer's parameters, put together from all workers on the communication stream.
  void* gather() {
    void* all = get(12 * kWidth * kWidth * 2, kCommunication);
    CHECK(allocator_.record_stream(all, kCompute));
    return all;
  }

  FakeDriver driver_;
  CachingAllocator allocator_;
  bool lengths_vary_;
  Stream reduced_on_;  // whose memory the gradients that the optimizer gets are
  std::mt19937 random_{7};
  std::map<void*, size_t> live_;
  size_t live_bytes_ = 0, live_peak_ = 0;
};

}  // namespace

TEST(expandable_segments_one_length) { Training(true, false).run(__func__, 1.10, 0); }
// Of random lengths, one step in thousands is worse than all before.
TEST(expandable_segments_many_lengths) { Training(true, true).run(__func__, 1.10, 3); }
TEST(ordinary_segments_one_length) { Training(false, false).run(__func__, 1.10, 0); }
// Where blocks cannot be joined across segments, sizes that change cost memory: why expandable ones are the default.
TEST(ordinary_segments_many_lengths) { Training(false, true).run(__func__, 1.60, 3); }
// Each stream keeps its own memory, so what the streams need at different times adds up.
TEST(expandable_segments_two_peaks) { Training(true, false, kCommunication).run(__func__, 1.20, 0); }

int main(int argc, char** argv) { return run(argc, argv); }
