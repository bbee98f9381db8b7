// The "cuda" entry of core's device table: devices, copies, streams and events.
#include <cstdio>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "cuda/index_error.h"
#include "cuda/memory.h"
#include "cuda/runtime.h"
#include "cuda/tickets.h"

namespace atled::core::cuda {

namespace {

struct Streams {
  std::vector<cudaStream_t> current;  // by device; the default stream where none was set
};
thread_local Streams streams;

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string driver_file() {
  std::string text;
  if (std::FILE* file = std::fopen("/proc/driver/nvidia/version", "r")) {
    char line[256];
    if (std::fgets(line, sizeof line, file)) text = line;
    std::fclose(file);
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// Why there is no device, in the order in which a user would look.
std::string why_none(cudaError_t status) {
  const std::string built = version_text(CUDART_VERSION), kernel = driver_file();
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
  cudaGetLastError();
  std::string text = "device cuda cannot be used: looked for the NVIDIA driver (libcuda.so.1) and a GPU, found ";
  text += driver ? "a driver for CUDA " + version_text(driver) : "no driver";
  text += kernel.empty() ? ", no kernel module (/proc/driver/nvidia/version)" : ", kernel module " + kernel;
  text += std::string(" (") + cudaGetErrorName(status) + ": " + cudaGetErrorString(status) + "); ";
  const int needed = CUDART_VERSION / 1000 * 1000;  // any driver of the same major version
  if (!driver)
    text += "install a driver for CUDA " + version_text(needed) + " or newer, or, in a container, start it with GPUs";
  else if (driver < needed)
    text += "this build needs CUDA " + built + ": update the driver to one for CUDA " + version_text(needed);
  else
    text += "check that `nvidia-smi` lists a GPU and that CUDA_VISIBLE_DEVICES does not hide it";
  return text + "; device \"cpu\" works without";
}

int index_of(DLDevice device) { return device.device_id; }
bool on_host(DLDevice device) { return device.device_type == kDLCPU || device.device_type == kDLCUDAHost; }

cudaStream_t stream_or_current(int device, atled_stream stream) {
  return stream ? static_cast<cudaStream_t>(stream) : current_stream(device);
}

// Across devices, the destination's stream waits for what the source's has been given, and the source's for the copy.
void copy_across(void* dst, int to, const void* src, int from, size_t nbytes, cudaStream_t stream) {
  cudaEvent_t ready = nullptr, done = nullptr;
  {
    DeviceGuard guard(from);
    expect(cudaEventCreateWithFlags(&ready, cudaEventDisableTiming), "create an event");
    expect(cudaEventRecord(ready, current_stream(from)), "record an event");
  }
  {
    DeviceGuard guard(to);
    expect(cudaStreamWaitEvent(stream, ready, 0), "wait for an event");
    expect(cudaMemcpyPeerAsync(dst, to, src, from, nbytes, stream), "copy between devices");
    expect(cudaEventCreateWithFlags(&done, cudaEventDisableTiming), "create an event");
    expect(cudaEventRecord(done, stream), "record an event");
  }
  DeviceGuard guard(from);
  expect(cudaStreamWaitEvent(current_stream(from), done, 0), "wait for an event");
  // The driver keeps what an event still has to do.
  cudaEventDestroy(ready);
  cudaEventDestroy(done);
}

}  // namespace

// Only a copy from or to pinned host memory can go on while the host does.
void copy_bytes(void* dst, DLDevice to, const void* src, DLDevice from, size_t nbytes, atled_stream given, bool waits) {
  const int device = on_host(to) ? index_of(from) : index_of(to);
  const cudaStream_t stream = stream_or_current(device, given);
  if (!on_host(to) && !on_host(from) && index_of(to) != index_of(from))
    return copy_across(dst, index_of(to), src, index_of(from), nbytes, stream);
  DeviceGuard guard(device);
  expect(cudaMemcpyAsync(dst, src, nbytes, cudaMemcpyDefault, stream), "copy");
  if (!on_host(to) && !on_host(from)) return;
  // What leaves pageable memory has been staged when the call returns, but only for small copies does the runtime say
  // so; waiting makes it true for all.
  const void* host = on_host(to) ? dst : src;
  if (!waits && is_pinned(host)) return record_pinned(host, device, stream);
  expect(cudaStreamSynchronize(stream), "finish a copy");
  raise_index_error(device);
}

namespace {

// ---- the table's functions: C on the outside ----

int probe(void*, char* why, size_t size) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return ATLED_OK;
  std::snprintf(why, size, "%s", why_none(status == cudaSuccess ? cudaErrorNoDevice : status).c_str());
  cudaGetLastError();
  return ATLED_E_DEVICE;
}
int count(void*, int32_t* out) {
  return guard([&] { *out = device_count(); });
}
int table_allocate(void*, int32_t index, size_t nbytes, atled_stream stream, void** out) {
  return guard([&] {
    DeviceGuard device(index);
    *out = allocate(index, nbytes, stream_or_current(index, stream));
  });
}
void table_free(void*, int32_t index, void* pointer, size_t nbytes, atled_stream stream) {
  guard([&] {
    DeviceGuard device(index);
    release(index, pointer, nbytes, stream_or_current(index, stream));
  });
}
int copy(void*, void* dst, DLDevice to, const void* src, DLDevice from, size_t nbytes, atled_stream stream) {
  return guard([&] { copy_bytes(dst, to, src, from, nbytes, stream, true); });
}
int copy_async(void*, void* dst, DLDevice to, const void* src, DLDevice from, size_t nbytes, atled_stream stream) {
  return guard([&] { copy_bytes(dst, to, src, from, nbytes, stream, false); });
}
int current_device(void*, int32_t* out) {
  return guard([&] {
    device_count();  // says why there is none
    int current = 0;
    expect(cudaGetDevice(&current), "ask for the current device");
    *out = current;
  });
}
int record_stream(void*, int32_t index, const void* pointer, atled_stream stream) {
  return guard([&] { expect(allocator(index).record_stream(pointer, stream)); });
}
int fill_zero(void*, int32_t index, void* pointer, size_t nbytes, atled_stream stream) {
  return guard([&] {
    DeviceGuard device(index);
    expect(cudaMemsetAsync(pointer, 0, nbytes, stream_or_current(index, stream)), "fill with zeros");
  });
}
int table_memory_stats(void*, int32_t index, char* json, size_t size) {
  return guard([&] { std::snprintf(json, size, "%s", memory_stats(index).c_str()); });
}
int table_trim(void*, int32_t index) {
  return guard([&] {
    DeviceGuard device(index);
    trim(index);
  });
}
int table_current_stream(void*, int32_t index, atled_stream* out) {
  return guard([&] { *out = current_stream(index); });
}
int set_stream(void*, int32_t index, atled_stream stream) {
  return guard([&] { set_current_stream(index, static_cast<cudaStream_t>(stream)); });
}
int stream_create(void*, int32_t index, int32_t priority, atled_stream* out) {
  return guard([&] {
    DeviceGuard device(index);
    cudaStream_t stream = nullptr;
    expect(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, priority), "create a stream");
    *out = stream;
  });
}
void stream_destroy(void*, int32_t index, atled_stream stream) {
  guard([&] {
    DeviceGuard device(index);
    if (current_stream(index) == stream) set_current_stream(index, nullptr);
    release_tickets(index, static_cast<cudaStream_t>(stream));
    release_stream(index, static_cast<cudaStream_t>(stream));
    expect(cudaStreamDestroy(static_cast<cudaStream_t>(stream)), "destroy a stream");
  });
}
int synchronize(void*, int32_t index, atled_stream stream) {
  return guard([&] {
    DeviceGuard device(index);
    expect(stream ? cudaStreamSynchronize(static_cast<cudaStream_t>(stream)) : cudaDeviceSynchronize(), "synchronize");
    raise_index_error(index);
  });
}
// Which device an event belongs to: a stream that is NULL is that one's default stream.
class EventDevices {
 public:
  static void put(atled_event event, int device) {
    const std::lock_guard<std::mutex> hold(lock());
    all()[event] = device;
  }
  static int of(atled_event event) {
    const std::lock_guard<std::mutex> hold(lock());
    const auto found = all().find(event);
    if (found != all().end()) return found->second;
    int current = 0;  // another's event
    expect(cudaGetDevice(&current), "ask for the current device");
    return current;
  }
  static void drop(atled_event event) {
    const std::lock_guard<std::mutex> hold(lock());
    all().erase(event);
  }

 private:
  static std::mutex& lock() {
    static auto* const mutex = new std::mutex;
    return *mutex;
  }
  static std::unordered_map<atled_event, int>& all() {
    static auto* const map = new std::unordered_map<atled_event, int>;
    return *map;
  }
};

int event_create(void*, int32_t index, int32_t timing, atled_event* out) {
  return guard([&] {
    DeviceGuard device(index);
    cudaEvent_t event = nullptr;
    expect(cudaEventCreateWithFlags(&event, timing ? cudaEventDefault : cudaEventDisableTiming), "create an event");
    EventDevices::put(event, index);
    *out = event;
  });
}
void event_destroy(void*, int32_t index, atled_event event) {
  guard([&] {
    DeviceGuard device(index);
    EventDevices::drop(event);
    expect(cudaEventDestroy(static_cast<cudaEvent_t>(event)), "destroy an event");
  });
}
int event_record(void*, atled_event event, atled_stream stream) {
  return guard([&] {
    DeviceGuard device(EventDevices::of(event));
    expect(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)), "record an event");
  });
}
int event_wait(void*, atled_event event, atled_stream stream) {
  return guard([&] {
    DeviceGuard device(EventDevices::of(event));
    expect(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), static_cast<cudaEvent_t>(event), 0),
           "wait for an event");
  });
}
int event_query(void*, atled_event event, int32_t* done) {
  return guard([&] {
    DeviceGuard device(EventDevices::of(event));
    const cudaError_t status = cudaEventQuery(static_cast<cudaEvent_t>(event));
    *done = status == cudaSuccess;
    if (status != cudaErrorNotReady) return expect(status, "ask for an event");
    cudaGetLastError();
  });
}
int event_elapsed(void*, atled_event begin, atled_event end, double* milliseconds) {
  return guard([&] {
    DeviceGuard device(EventDevices::of(begin));
    float elapsed = 0;
    expect(cudaEventElapsedTime(&elapsed, static_cast<cudaEvent_t>(begin), static_cast<cudaEvent_t>(end)),
           "measure the time between events");
    *milliseconds = elapsed;
  });
}

}  // namespace

int device_count() {
  // Asked once: a process sees the devices that were there when the runtime started.
  static const int known = [] {
    int found = 0;
    const cudaError_t status = cudaGetDeviceCount(&found);
    cudaGetLastError();
    return status == cudaSuccess ? found : -static_cast<int>(status);
  }();
  if (known > 0) return known;
  fail(ATLED_E_DEVICE, "%s", why_none(known == 0 ? cudaErrorNoDevice : static_cast<cudaError_t>(-known)).c_str());
}

cudaStream_t current_stream(int device) {
  const auto& current = streams.current;
  return static_cast<size_t>(device) < current.size() ? current[static_cast<size_t>(device)] : nullptr;
}

void set_current_stream(int device, cudaStream_t stream) {
  auto& current = streams.current;
  if (static_cast<size_t>(device) >= current.size()) current.resize(static_cast<size_t>(device) + 1);
  current[static_cast<size_t>(device)] = stream;
}

void add_device_table() {
  atled_device_def def{};
  def.size = sizeof def;
  def.type = kDLCUDA;
  def.name = "cuda";
  def.probe = probe;
  def.count = count;
  def.allocate = table_allocate;
  def.free = table_free;
  def.copy = copy;
  def.fill_zero = fill_zero;
  def.memory_stats = table_memory_stats;
  def.trim = table_trim;
  def.current_stream = table_current_stream;
  def.set_stream = set_stream;
  def.stream_create = stream_create;
  def.stream_destroy = stream_destroy;
  def.synchronize = synchronize;
  def.event_create = event_create;
  def.event_destroy = event_destroy;
  def.event_record = event_record;
  def.event_wait = event_wait;
  def.event_query = event_query;
  def.event_elapsed = event_elapsed;
  def.current_device = current_device;
  def.copy_async = copy_async;
  def.record_stream = record_stream;
  check(device_group->add(&def));
}

}  // namespace atled::core::cuda
