// The same allocators on a real device, through the real driver. Ends with status 77 and the reason where there is
// none.
#include <cuda_runtime_api.h>

#include <chrono>

#include "cuda/caching_allocator.h"
#include "cuda/cuda_driver.h"
#include "cuda/pinned_cache.h"
#include "test_memory_fake_driver.h"

using namespace test;

namespace {

#define RUNTIME(call) CHECK_EQUAL(std::string(cudaGetErrorName(call)), std::string("cudaSuccess"))

Driver& device() {
  static std::unique_ptr<Driver> driver = [] {
    Status status;
    auto made = make_cuda_driver(0, &status);
    if (made) return made;
    CHECK(!status.text.empty());
    printf("%s\n", status.text.c_str());
    std::exit(77);
  }();
  return *driver;
}

AllocatorOptions options(bool expandable) {
  AllocatorOptions all;
  all.expandable = expandable;
  return all;
}

char* get(CachingAllocator& allocator, size_t bytes, Stream on) {
  void* ptr = nullptr;
  Status status = allocator.allocate(bytes, on, &ptr);
  if (!status) fail(__FILE__, __LINE__, status.text);
  return static_cast<char*>(ptr);
}

cudaStream_t make_stream() {
  cudaStream_t made = nullptr;
  RUNTIME(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
  return made;
}

// Fills on the stream and reads back what is there.
void check_memory(char* ptr, size_t bytes, cudaStream_t on, int value) {
  std::vector<unsigned char> host(bytes);
  RUNTIME(cudaMemsetAsync(ptr, value, bytes, on));
  RUNTIME(cudaMemcpyAsync(host.data(), ptr, bytes, cudaMemcpyDeviceToHost, on));
  RUNTIME(cudaStreamSynchronize(on));
  for (unsigned char byte : host) CHECK_EQUAL(static_cast<int>(byte), value);
}

}  // namespace

TEST(memory_can_be_used_grows_and_is_given_back) {
  for (bool expandable : {true, false}) {
    Driver& driver = device();
    cudaStream_t one = make_stream();
    size_t before = 0, after = 0, total = 0;
    CHECK(driver.memory_info(&before, &total));
    {
      CachingAllocator allocator(0, driver, options(expandable));
      char* a = get(allocator, 50 * MiB + 3, one);
      check_memory(a, 50 * MiB + 3, one, 1);
      char* b = get(allocator, 70 * MiB, one);
      check_memory(b, 70 * MiB, one, 2);
      check_memory(a, 50 * MiB + 3, one, 3);
      char* small = get(allocator, 100, one);
      check_memory(small, 100, one, 4);
      CHECK(allocator.free(a));
      CHECK(allocator.empty_cache());  // a hole, where segments are expandable
      check_memory(b, 70 * MiB, one, 5);
      char* c = get(allocator, 40 * MiB, one);
      check_memory(c, 40 * MiB, one, 6);
      for (char* ptr : {b, c, small}) CHECK(allocator.free(ptr));
      CHECK(allocator.empty_cache());
      CHECK_EQUAL(allocator.stats().current(kReservedBytes), int64_t{0});
      void* out = nullptr;
      CHECK_EQUAL(allocator.allocate(total * 2, one, &out).code, Status::kExhausted);
    }
    CHECK(driver.memory_info(&after, &total));
    CHECK(after + 4 * MiB >= before);  // others use the device too
    RUNTIME(cudaStreamDestroy(one));
  }
}

TEST(streams_and_pinned_memory) {
  Driver& driver = device();
  cudaStream_t one = make_stream(), two = make_stream();
  {
    CachingAllocator allocator(0, driver);
    PinnedCache pinned(driver);
    void* host = nullptr;
    CHECK(pinned.allocate(64 * MiB, &host));
    for (int i = 0; i < 50; ++i) {
      char* ptr = get(allocator, 64 * MiB, one);
      CHECK(allocator.record_stream(ptr, two));
      CHECK(pinned.record(host, {&driver, two}));
      RUNTIME(cudaMemcpyAsync(ptr, host, 64 * MiB, cudaMemcpyHostToDevice, two));
      CHECK(allocator.free(ptr));
    }
    CHECK(pinned.free(host));
    CHECK(allocator.release_stream(two));
    CHECK_EQUAL(allocator.stats().current(kActive), int64_t{0});
    CHECK(allocator.empty_cache());
    CHECK(pinned.empty_cache());
  }
  RUNTIME(cudaStreamDestroy(one));
  RUNTIME(cudaStreamDestroy(two));
}

TEST(a_captured_graph_keeps_its_memory) {
  Driver& driver = device();
  cudaStream_t one = make_stream();
  {
    CachingAllocator allocator(0, driver);
    const PoolId pool = allocator.create_pool();
    CHECK(allocator.begin_allocate_to_pool(pool, {[one](Stream s) { return s == one; }, true}));
    RUNTIME(cudaStreamBeginCapture(one, cudaStreamCaptureModeGlobal));
    char* captured = get(allocator, 30 * MiB, one);
    RUNTIME(cudaMemsetAsync(captured, 9, 30 * MiB, one));
    CHECK(allocator.free(captured));
    cudaGraph_t graph = nullptr;
    RUNTIME(cudaStreamEndCapture(one, &graph));
    CHECK(allocator.end_allocate_to_pool(pool));
    cudaGraphExec_t ready = nullptr;
    RUNTIME(cudaGraphInstantiate(&ready, graph, 0));
    char* other = get(allocator, 30 * MiB, one);
    CHECK(other != captured);
    RUNTIME(cudaMemsetAsync(other, 1, 30 * MiB, one));
    RUNTIME(cudaGraphLaunch(ready, one));
    std::vector<unsigned char> host(30 * MiB);
    RUNTIME(cudaMemcpyAsync(host.data(), other, host.size(), cudaMemcpyDeviceToHost, one));
    RUNTIME(cudaStreamSynchronize(one));
    for (unsigned char byte : host) CHECK_EQUAL(static_cast<int>(byte), 1);
    RUNTIME(cudaGraphExecDestroy(ready));
    RUNTIME(cudaGraphDestroy(graph));
    CHECK(allocator.release_pool(pool));
    CHECK(allocator.free(other));
    CHECK(allocator.empty_cache());
    CHECK_EQUAL(allocator.stats().current(kReservedBytes), int64_t{0});
  }
  RUNTIME(cudaStreamDestroy(one));
}

TEST(what_growth_costs) {
  Driver& driver = device();
  for (bool expandable : {true, false}) {
    CachingAllocator allocator(0, driver, options(expandable));
    const auto time = [&] {
      const auto start = std::chrono::steady_clock::now();
      char* ptr = get(allocator, GiB, nullptr);
      const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
      CHECK(allocator.free(ptr));
      return took.count();
    };
    const double first = time(), second = time();
    printf("%s segments: 1 GiB new in %.0f us, again in %.2f us\n", expandable ? "expandable" : "ordinary", first,
           second);
  }
}

int main(int argc, char** argv) { return run(argc, argv); }
