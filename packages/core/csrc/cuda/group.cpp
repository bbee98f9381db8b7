// The group "cuda" (atled/cuda.h): C on the outside.
#include <cstring>
#include <string>

#include "atled/cuda.h"
#include "cuda/contexts.h"
#include "cuda/graph.h"
#include "cuda/index_error.h"
#include "cuda/libraries.h"
#include "cuda/memory.h"
#include "cuda/profile.h"
#include "cuda/runtime.h"

namespace atled::core::cuda {

namespace {

cudaStream_t stream_of(atled_stream stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(atled_event event) { return static_cast<cudaEvent_t>(event); }

void expect_index(int32_t index) {
  const int count = device_count();
  if (index < 0 || index >= count)
    fail(ATLED_E_DEVICE, "expected cuda index in [0, %d), got %d", count, static_cast<int>(index));
}

// Runs f for a device that need not be current: to make it so takes memory for its context.
template <class F>
int knowing(int32_t index, F&& f) {
  return guard([&] {
    expect_index(index);
    f();
  });
}

// Runs f with the device current.
template <class F>
int on(int32_t index, F&& f) {
  return guard([&] {
    expect_index(index);
    DeviceGuard device(index);
    f();
  });
}

// Answers a text that lives until the thread's next one.
void tell(std::string text, const char** out) {
  thread_local std::string kept;
  kept = std::move(text);
  *out = kept.c_str();
}

// Whether what was asked for is done.
void answer(cudaError_t status, int32_t* done) {
  *done = status == cudaSuccess;
  if (status == cudaErrorNotReady)
    cudaGetLastError();
  else
    expect(status, "ask whether work is done");
}

// ---- devices ----

int versions(int32_t* runtime, int32_t* driver) {
  return guard([&] {
    int versions[2] = {0, 0};
    expect(cudaRuntimeGetVersion(&versions[0]), "ask for the runtime's version");
    expect(cudaDriverGetVersion(&versions[1]), "ask for the driver's version");
    *runtime = versions[0];
    *driver = versions[1];
  });
}
int count_devices(int32_t* out) {
  return guard([&] { *out = device_count(); });
}
int properties(int32_t index, atled_cuda_properties* out, size_t size) {
  return knowing(index, [&] {
    cudaDeviceProp found{};
    expect(cudaGetDeviceProperties(&found, index), "ask for a device's properties");
    atled_cuda_properties p{};
    std::memcpy(p.name, found.name, sizeof p.name - 1);
    std::memcpy(p.uuid, &found.uuid, sizeof p.uuid);
    p.total_memory = found.totalGlobalMem;
    p.major = found.major;
    p.minor = found.minor;
    p.multi_processor_count = found.multiProcessorCount;
    p.warp_size = found.warpSize;
    p.max_threads_per_block = found.maxThreadsPerBlock;
    p.max_threads_per_multi_processor = found.maxThreadsPerMultiProcessor;
    p.regs_per_multiprocessor = found.regsPerMultiprocessor;
    p.shared_memory_per_block = static_cast<int32_t>(found.sharedMemPerBlock);
    p.shared_memory_per_block_optin = static_cast<int32_t>(found.sharedMemPerBlockOptin);
    p.shared_memory_per_multiprocessor = static_cast<int32_t>(found.sharedMemPerMultiprocessor);
    p.l2_cache_size = found.l2CacheSize;
    p.is_integrated = found.integrated;
    p.is_multi_gpu_board = found.isMultiGpuBoard;
    p.pci_bus_id = found.pciBusID;
    p.pci_device_id = found.pciDeviceID;
    p.pci_domain_id = found.pciDomainID;
    std::memcpy(out, &p, size < sizeof p ? size : sizeof p);
  });
}
int get_device(int32_t* out) {
  return guard([&] {
    device_count();
    int current = 0;
    expect(cudaGetDevice(&current), "ask for the current device");
    *out = current;
  });
}
int set_device(int32_t index) {
  return guard([&] {
    expect_index(index);
    expect(cudaSetDevice(index), "choose a device");
  });
}
int enter(int32_t index) {
  return guard([&] {
    expect_index(index);
    expect(::atled::cuda::enter_device(index), "choose a device");
  });
}
int leave() {
  return guard([&] { expect(::atled::cuda::leave_device(), "go back to the former device"); });
}
int memory_info(int32_t index, uint64_t* free, uint64_t* total) {
  return on(index, [&] {
    size_t bytes[2] = {0, 0};
    expect(cudaMemGetInfo(&bytes[0], &bytes[1]), "ask for a device's memory");
    *free = bytes[0];
    *total = bytes[1];
  });
}
int can_access_peer(int32_t index, int32_t peer, int32_t* out) {
  return knowing(index, [&] {
    int can = 0;
    expect(cudaDeviceCanAccessPeer(&can, index, peer), "ask for access between devices");
    *out = can;
  });
}
int pointer_device(const void* pointer, int32_t* index) {
  return guard([&] {
    DeviceGuard device(device_in_use());
    cudaPointerAttributes found{};
    const bool known = cudaPointerGetAttributes(&found, pointer) == cudaSuccess;
    if (!known) cudaGetLastError();
    const bool there = known && (found.type == cudaMemoryTypeDevice || found.type == cudaMemoryTypeManaged);
    *index = there ? found.device : -1;
  });
}
int synchronize(int32_t index) {
  return on(index, [&] {
    expect(cudaDeviceSynchronize(), "synchronize");
    raise_index_error(index);
  });
}

// ---- streams ----

int stream_create(int32_t index, int32_t priority, atled_stream* out) {
  return on(index, [&] {
    cudaStream_t stream = nullptr;
    expect(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, priority), "create a stream");
    *out = stream;
  });
}
int stream_priorities(int32_t index, int32_t* least, int32_t* greatest) {
  return on(index, [&] {
    int range[2] = {0, 0};
    expect(cudaDeviceGetStreamPriorityRange(&range[0], &range[1]), "ask for the priorities of streams");
    *least = range[0];
    *greatest = range[1];
  });
}
int stream_priority(int32_t index, atled_stream stream, int32_t* out) {
  return on(index, [&] {
    int priority = 0;
    expect(cudaStreamGetPriority(stream_of(stream), &priority), "ask for a stream's priority");
    *out = priority;
  });
}
int get_stream(int32_t index, atled_stream* out) {
  *out = current_stream(index);
  return ATLED_OK;
}
int set_stream(int32_t index, atled_stream stream) {
  return guard([&] { set_current_stream(index, stream_of(stream)); });
}
int stream_query(int32_t index, atled_stream stream, int32_t* done) {
  return on(index, [&] { answer(cudaStreamQuery(stream_of(stream)), done); });
}
int stream_synchronize(int32_t index, atled_stream stream) {
  return on(index, [&] {
    expect(cudaStreamSynchronize(stream_of(stream)), "synchronize a stream");
    raise_index_error(index);
  });
}
int stream_wait(int32_t index, atled_stream stream, atled_event event) {
  return on(index, [&] { expect(cudaStreamWaitEvent(stream_of(stream), event_of(event), 0), "wait for an event"); });
}
int stream_capturing(int32_t index, atled_stream stream, int32_t* out) {
  return on(index, [&] { *out = is_capturing(stream_of(stream)); });
}

// ---- events ----

int event_create(int32_t index, uint32_t flags, atled_event* out) {
  return on(index, [&] {
    unsigned how = flags & ATLED_CUDA_EVENT_TIMING ? cudaEventDefault : cudaEventDisableTiming;
    if (flags & ATLED_CUDA_EVENT_BLOCKING) how |= cudaEventBlockingSync;
    cudaEvent_t event = nullptr;
    expect(cudaEventCreateWithFlags(&event, how), "create an event");
    *out = event;
  });
}
int event_destroy(int32_t index, atled_event event) {
  return on(index, [&] { expect(cudaEventDestroy(event_of(event)), "destroy an event"); });
}
int event_record(int32_t index, atled_event event, atled_stream stream) {
  return on(index, [&] { expect(cudaEventRecord(event_of(event), stream_of(stream)), "record an event"); });
}
int event_query(int32_t index, atled_event event, int32_t* done) {
  return on(index, [&] {
    // The event may be of work before a graph that another thread captures meanwhile.
    cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    expect(cudaThreadExchangeStreamCaptureMode(&mode), "ask whether work is done");
    const cudaError_t status = cudaEventQuery(event_of(event));
    expect(cudaThreadExchangeStreamCaptureMode(&mode), "ask whether work is done");
    answer(status, done);
  });
}
int event_synchronize(int32_t index, atled_event event) {
  return on(index, [&] {
    expect(cudaEventSynchronize(event_of(event)), "wait for an event");
    raise_index_error(index);
  });
}
int event_elapsed(int32_t index, atled_event begin, atled_event end, double* milliseconds) {
  return on(index, [&] {
    float elapsed = 0;
    const cudaError_t status = cudaEventElapsedTime(&elapsed, event_of(begin), event_of(end));
    if (status == cudaErrorNotReady) {
      cudaGetLastError();
      fail(ATLED_E_RUNTIME, "elapsed_time: expected both events to have passed; synchronize the later one first");
    }
    expect(status, "measure the time between events");
    *milliseconds = elapsed;
  });
}

// ---- memory ----

int record_stream(int32_t index, const void* pointer, atled_stream stream) {
  return on(index, [&] { expect(allocator(index).record_stream(pointer, stream)); });
}
int stats(int32_t index, const char** json) {
  return knowing(index, [&] { tell(memory_stats(index), json); });
}
int snapshot(int32_t index, const char** json) {
  return knowing(index, [&] {
    ::atled::cuda::CachingAllocator* used = used_allocator(index);
    tell(to_json(used ? used->snapshot() : ::atled::cuda::Snapshot{index, {}, {}}), json);
  });
}
int reset_peak(int32_t index) {
  return knowing(index, [&] {
    if (::atled::cuda::CachingAllocator* used = used_allocator(index)) used->reset_peak_stats();
  });
}
int reset_accumulated(int32_t index) {
  return knowing(index, [&] {
    if (::atled::cuda::CachingAllocator* used = used_allocator(index)) used->reset_accumulated_stats();
  });
}
int record_history(int32_t index, uint64_t entries) {
  return on(index, [&] { allocator(index).record_history(static_cast<size_t>(entries)); });
}
int empty_cache(int32_t index) {
  return knowing(index, [&] { trim(index); });
}
int set_fraction(int32_t index, double fraction) {
  return on(index, [&] { expect(allocator(index).set_memory_fraction(fraction)); });
}

// ---- pinned host memory ----

struct HostTensor {
  DLManagedTensorVersioned managed{};
  int64_t dims[2 * ATLED_MAX_NDIM];
};

int host_tensor(int32_t dtype, int32_t ndim, const int64_t* shape, const int64_t* strides,
                DLManagedTensorVersioned** out) {
  return guard([&] {
    if (dtype < 0 || dtype >= ATLED_NUM_DTYPES || ndim < 0 || ndim > ATLED_MAX_NDIM)
      fail(ATLED_E_VALUE, "expected a dtype and at most %d dimensions", ATLED_MAX_NDIM);
    int64_t last = 0;
    bool empty = false;
    auto made = std::make_unique<HostTensor>();
    for (int i = 0; i < ndim; ++i) {
      made->dims[i] = shape[i];
      made->dims[ATLED_MAX_NDIM + i] = strides[i];
      empty = empty || shape[i] == 0;
      last += (shape[i] - 1) * strides[i];
    }
    void* memory = nullptr;
    const size_t nbytes = empty ? 1 : static_cast<size_t>(last + 1) * itemsize(dtype);
    expect(pinned_cache().allocate(nbytes, &memory));
    DLManagedTensorVersioned& m = made->managed;
    m.version = DLPackVersion{DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
    m.manager_ctx = made.get();
    m.deleter = [](DLManagedTensorVersioned* self) {
      auto* owner = static_cast<HostTensor*>(self->manager_ctx);
      (void)pinned_cache().free(self->dl_tensor.data);
      delete owner;
    };
    m.dl_tensor = DLTensor{
        memory,     DLDevice{kDLCUDAHost, 0},    ndim, DLDataType{dtype_infos[dtype].code, dtype_infos[dtype].bits, 1},
        made->dims, made->dims + ATLED_MAX_NDIM, 0};
    *out = &made.release()->managed;
  });
}
int host_pinned(const void* pointer, int32_t* out) {
  return guard([&] { *out = is_pinned(pointer); });
}
int host_stats(const char** json) {
  return guard([&] {
    const ::atled::cuda::PinnedStats s = pinned_cache().stats();
    std::string text = "{\"allocated_bytes\": " + std::to_string(s.allocated_bytes);
    text += ", \"reserved_bytes\": " + std::to_string(s.reserved_bytes);
    text += ", \"allocations\": " + std::to_string(s.allocations) + ", \"segments\": " + std::to_string(s.segments);
    text += ", \"num_host_alloc\": " + std::to_string(s.host_alloc);
    tell(text + ", \"num_host_free\": " + std::to_string(s.host_free) + "}", json);
  });
}
int host_empty_cache() {
  return guard([] { expect(pinned_cache().empty_cache()); });
}

// ---- graphs ----

int graph_begin(int32_t index, int32_t mode, uint64_t* pool, atled_cuda_graph** out) {
  return on(index, [&] {
    const cudaStreamCaptureMode modes[] = {cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal,
                                           cudaStreamCaptureModeRelaxed};
    if (mode < 0 || mode > 2) fail(ATLED_E_VALUE, "expected a capture mode in [0, 2], got %d", static_cast<int>(mode));
    *out = begin_graph(index, modes[mode], pool);
  });
}
int graph_end(atled_cuda_graph* graph) {
  return guard([&] { end_graph(graph); });
}
int graph_launch(atled_cuda_graph* graph) {
  return guard([&] { launch_graph(graph); });
}
int graph_destroy(atled_cuda_graph* graph) {
  destroy_graph(graph);
  return ATLED_OK;
}
int counters(int32_t index, atled_generator* generator, uint64_t n, atled_cuda_counters* out) {
  return guard([&] { *out = take_counters(index, generator, n); });
}

int open_library(const char* file, const char* mend, void** handle) {
  return guard([&] { *handle = Library(file, mend).handle(); });
}
int index_begin(int32_t index, const char* op, const char* name, atled_cuda_index_site* out) {
  return guard([&] { *out = begin_index_call(op, name, index); });
}
int index_end(int32_t index, const atled_cuda_index_site* site) {
  return guard([&] { finish_index_call(*site, index); });
}

const atled_cuda_group table{
    versions,
    count_devices,
    properties,
    get_device,
    set_device,
    memory_info,
    can_access_peer,
    pointer_device,
    synchronize,
    stream_create,
    stream_priorities,
    stream_priority,
    get_stream,
    set_stream,
    stream_query,
    stream_synchronize,
    stream_wait,
    stream_capturing,
    event_create,
    event_destroy,
    event_record,
    event_query,
    event_synchronize,
    event_elapsed,
    record_stream,
    stats,
    snapshot,
    reset_peak,
    reset_accumulated,
    record_history,
    empty_cache,
    set_fraction,
    host_tensor,
    host_pinned,
    host_stats,
    host_empty_cache,
    graph_begin,
    graph_end,
    graph_launch,
    graph_destroy,
    counters,
    range_push,
    range_pop,
    range_start,
    range_end,
    mark,
    open_library,
    index_begin,
    index_end,
    enter,
    leave,
};

}  // namespace

void publish_group() { check(api.publish("cuda", 1, &table, sizeof table)); }

}  // namespace atled::core::cuda
