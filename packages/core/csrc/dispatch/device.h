// Device types: the CPU and meta are built in, others are added through the ABI's "device" group.
#pragma once

#include <string>

#include "atled/abi.h"

namespace atled::core {

constexpr int kMaxDevices = 16;
constexpr uint8_t kCpuSlot = 0, kMetaSlot = 1;

// A small dense number per device type, for tables of kernels; 255 for an unknown type.
uint8_t device_slot(int32_t type);
int add_device(const atled_device_def* def) noexcept;
// ATLED_OK, or a DeviceError that names what is known.
int device_known(DLDevice device) noexcept;
int device_allocate(DLDevice device, size_t nbytes, void** out) noexcept;
void device_free(DLDevice device, void* data, size_t nbytes) noexcept;
// Copies contiguous bytes between any two devices; what NonBlocking says is the thread's own.
int device_copy(void* dst, DLDevice dst_device, const void* src, DLDevice src_device, size_t nbytes) noexcept;
int device_synchronize(DLDevice device) noexcept;
// The table of a device that a plugin added, or NULL.
const atled_device_def* device_def(int32_t type);
// "cpu", "cuda:1"; parse is the reverse and loads the device's plugin when needed.
std::string device_text(DLDevice device);
int parse_device(const char* text, DLDevice* out) noexcept;
// The type of a device that is registered under a name, whether or not this machine has one; false when none is.
bool device_named(const char* name, DLDeviceType* type);

// Asks the registry to load the plugin of a device name; set by the Python binding.
extern int (*load_device)(const char* name);

// While it lives, copies of this thread may go on when the call has returned, where the host's memory allows it.
class NonBlocking {
 public:
  explicit NonBlocking(bool on);
  ~NonBlocking();
  NonBlocking(const NonBlocking&) = delete;
  NonBlocking& operator=(const NonBlocking&) = delete;

 private:
  const bool former_;
};

}  // namespace atled::core
