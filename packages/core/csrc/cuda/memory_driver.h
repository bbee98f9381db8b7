// All that the allocators ask of a device: one Driver per device. cuda_driver.h is the real one; the tests have one
// that simulates a device, so that every line of policy runs on the host.
//
// Every function may be called from any thread, and leaves the thread's current device as it was. None throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace atled::cuda {

using Stream = void*;    // a cudaStream_t; NULL is the default stream
using Event = void*;     // a cudaEvent_t without timing
using Chunk = uint64_t;  // physical memory of the virtual memory API

struct [[nodiscard]] Status {
  enum Code { kOk, kExhausted, kFailed };
  Code code = kOk;
  std::string text;  // why, where it is not kOk
  explicit operator bool() const { return code == kOk; }
};

class Driver {
 public:
  virtual ~Driver() = default;

  virtual Status memory_info(size_t* free, size_t* total) = 0;
  // Memory at multiples of 512 bytes. `release` may wait for the device.
  virtual Status allocate(size_t bytes, void** out) = 0;
  virtual Status release(void* memory) = 0;

  // Virtual memory: addresses first, memory under parts of them later. What bytes and addresses are multiples of is
  // the granularity; 0 says that the device has none of this, and then the rest is not called.
  virtual size_t granularity() = 0;
  virtual Status reserve(size_t bytes, void** out) = 0;
  virtual Status unreserve(void* base, size_t bytes) = 0;
  virtual Status map(void* at, size_t bytes, Chunk* out) = 0;
  // The device must be done with it; takes the chunk back as a whole.
  virtual Status unmap(void* at, size_t bytes, Chunk chunk) = 0;

  virtual Status event_create(Event* out) = 0;
  virtual void event_destroy(Event event) = 0;
  virtual Status event_record(Event event, Stream stream) = 0;
  virtual Status event_query(Event event, bool* passed) = 0;
  virtual Status event_wait(Event event) = 0;  // blocks this thread
  virtual Status synchronize() = 0;            // blocks until the device is idle

  // Page-locked host memory that every device may copy from and to.
  virtual Status host_allocate(size_t bytes, void** out) = 0;
  virtual Status host_release(void* memory) = 0;
};

// A stream of the device behind `driver`.
struct StreamUse {
  Driver* driver;
  Stream stream;
  bool operator==(const StreamUse& other) const { return driver == other.driver && stream == other.stream; }
};

}  // namespace atled::cuda
