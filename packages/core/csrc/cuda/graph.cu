#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "cuda/graph.h"
#include "cuda/launch.cuh"
#include "cuda/memory.h"

struct atled_cuda_graph {
  using PoolId = ::atled::cuda::PoolId;

  int device = 0;
  cudaStream_t stream = nullptr;  // of the capture
  std::atomic<unsigned long long> id{0};
  PoolId pool = 0;
  bool capturing = false;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  // Random numbers: where the kernels find seed and offset, and how many counters a run takes.
  uint64_t* words = nullptr;
  uint64_t counters = 0;
};

namespace atled::core::cuda {

namespace {

struct Captures {
  std::mutex mutex;
  std::vector<atled_cuda_graph*> all;
};
Captures& captures() {
  static auto* made = new Captures;
  return *made;
}
std::atomic<int> running{0};  // how many captures there are: draws ask no further while there is none

unsigned long long capture_id(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  unsigned long long id = 0;
  if (!stream || cudaStreamGetCaptureInfo(stream, &status, &id) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return status == cudaStreamCaptureStatusActive ? id : 0;
}

atled_cuda_graph* capture_on(int device, cudaStream_t stream) {
  if (running.load(std::memory_order_relaxed) == 0) return nullptr;
  const unsigned long long id = capture_id(stream);
  std::lock_guard<std::mutex> lock(captures().mutex);
  for (atled_cuda_graph* graph : captures().all)
    if (id && graph->device == device && graph->id == id) return graph;
  return nullptr;
}

void note(atled_cuda_graph* graph) {
  std::lock_guard<std::mutex> lock(captures().mutex);
  captures().all.push_back(graph);
  ++running;
}
void forget(atled_cuda_graph* graph) {
  std::lock_guard<std::mutex> lock(captures().mutex);
  auto& all = captures().all;
  const auto found = std::find(all.begin(), all.end(), graph);
  if (found == all.end()) return;
  all.erase(found);
  --running;
}

// Ends what the stream captures and lets the allocator go on, whatever became of it.
cudaError_t stop(atled_cuda_graph* graph) {
  graph->capturing = false;
  forget(graph);
  const cudaError_t ended = cudaStreamEndCapture(graph->stream, &graph->graph);
  if (ended != cudaSuccess) cudaGetLastError();
  expect(allocator(graph->device).end_allocate_to_pool(graph->pool));
  return ended;
}

__global__ void set_words_kernel(uint64_t* words, uint64_t seed, uint64_t offset) {
  words[0] = seed;
  words[1] = offset;
}

}  // namespace

bool is_capturing(cudaStream_t stream) { return capture_id(stream) != 0; }
bool any_capture() { return running.load() > 0; }

atled_cuda_graph* begin_graph(int device, cudaStreamCaptureMode mode, uint64_t* pool) {
  DeviceGuard guard(device);
  const cudaStream_t stream = current_stream(device);
  if (!stream)
    fail(ATLED_E_VALUE, "capture: expected a current stream other than the default one, which cannot be captured");
  ::atled::cuda::CachingAllocator& memory = allocator(device);
  auto graph = std::make_unique<atled_cuda_graph>();
  graph->device = device;
  graph->stream = stream;
  const bool shared = *pool && memory.retain_pool(*pool);
  graph->pool = shared ? *pool : memory.create_pool();
  atled_cuda_graph* made = graph.release();
  try {
    void* words = nullptr;
    expect(memory.allocate(2 * sizeof(uint64_t), stream, &words));
    made->words = static_cast<uint64_t*>(words);
    ::atled::cuda::PoolUse use;
    use.takes = [made](::atled::cuda::Stream taker) {
      return made->id && capture_id(static_cast<cudaStream_t>(taker)) == made->id;
    };
    expect(memory.begin_allocate_to_pool(made->pool, use));
    note(made);  // before it begins, so that nobody waits for the device meanwhile
    const cudaError_t begun = cudaStreamBeginCapture(stream, mode);
    if (begun != cudaSuccess) {
      forget(made);
      (void)memory.end_allocate_to_pool(made->pool);
      expect(begun, "capture a stream");
    }
    made->capturing = true;
    made->id = capture_id(stream);
  } catch (...) {
    destroy_graph(made);
    throw;
  }
  *pool = made->pool;
  return made;
}

void end_graph(atled_cuda_graph* graph) {
  if (!graph->capturing) fail(ATLED_E_RUNTIME, "capture_end: expected a capture that has begun");
  DeviceGuard guard(graph->device);
  const cudaError_t ended = stop(graph);
  if (ended == cudaErrorStreamCaptureInvalidated)
    fail(ATLED_E_RUNTIME,
         "capture: something was done that a graph cannot hold, such as waiting for the device, copying from or to "
         "pageable host memory, or reading a value (item()); the device can be used as before");
  if (ended == cudaErrorStreamCaptureUnjoined)
    fail(ATLED_E_RUNTIME,
         "capture: expected every stream that joined to be waited for by the one that the capture began on "
         "(wait_stream)");
  expect(ended, "end a capture");
  expect(cudaGraphInstantiate(&graph->exec, graph->graph, 0), "instantiate a graph");
}

void launch_graph(atled_cuda_graph* graph) {
  if (!graph->exec) fail(ATLED_E_RUNTIME, "replay: expected a graph that was captured");
  DeviceGuard guard(graph->device);
  const cudaStream_t stream = current_stream(graph->device);
  if (graph->counters) {
    uint64_t seed = 0, offset = 0;
    check(rng_group->reserve(nullptr, graph->counters, &seed, &offset));
    launch(set_words_kernel, 1, 1, stream, graph->words, seed, offset);
  }
  expect(cudaGraphLaunch(graph->exec, stream), "launch a graph");
}

void destroy_graph(atled_cuda_graph* graph) noexcept {
  guard([&] {
    DeviceGuard device(graph->device);
    ::atled::cuda::CachingAllocator& memory = allocator(graph->device);
    if (graph->capturing) (void)stop(graph);
    if (graph->exec) (void)cudaGraphExecDestroy(graph->exec);
    if (graph->graph) (void)cudaGraphDestroy(graph->graph);
    if (graph->words) release(graph->device, graph->words, 0, current_stream(graph->device));
    (void)memory.release_pool(graph->pool);
    cudaGetLastError();
  });
  delete graph;
}

atled_cuda_counters take_counters(int device, atled_generator* generator, uint64_t n) {
  atled_cuda_counters at{0, 0, nullptr};
  if (atled_cuda_graph* graph = capture_on(device, current_stream(device))) {
    if (generator)
      fail(ATLED_E_NOT_IMPLEMENTED,
           "a captured graph draws from the default generator alone, whose numbers go on at each replay; got another");
    at.words = graph->words;
    at.offset = graph->counters;
    graph->counters += n;
    return at;
  }
  check(rng_group->reserve(generator, n, &at.seed, &at.offset));
  return at;
}

void refuse_in_capture() {
  if (running.load(std::memory_order_relaxed) == 0) return;
  for (int device = 0; device < device_count(); ++device)
    if (capture_on(device, current_stream(device)))
      fail(ATLED_E_NOT_IMPLEMENTED,
           "this op draws its numbers on the host, so each replay of the captured graph would repeat them; draw with "
           "rand, randn, randint, uniform_, normal_ or their like inside, or outside of the graph");
}

}  // namespace atled::core::cuda
