#include "dispatch/device.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

#include "dispatch/error.h"
#include "dispatch/thread_state.h"
#include "memory/allocator.h"

namespace atled::core {

int (*load_device)(const char* name) = nullptr;

namespace {

struct Devices {
  uint8_t slot_of[128];
  atled_device_def defs[kMaxDevices] = {};
  std::string names[kMaxDevices] = {"cpu", "meta"};
  int count = 2;
  std::mutex mutex;

  Devices() {
    memset(slot_of, 255, sizeof slot_of);
    slot_of[kDLCPU] = kCpuSlot;
    slot_of[ATLED_DEVICE_META] = kMetaSlot;
    defs[kCpuSlot].type = kDLCPU;
    defs[kMetaSlot].type = ATLED_DEVICE_META;
  }
};
Devices& devices() {
  static Devices* all = new Devices;
  return *all;
}

// Read by every call, so not behind the guard of a function's static.
std::atomic<const uint8_t*> slots{nullptr};

bool host(DLDevice device) { return device.device_type == kDLCPU; }

std::string known_names() {
  std::string text;
  for (int i = 0; i < devices().count; ++i) text += (i ? ", " : "") + devices().names[i];
  return text;
}

}  // namespace

uint8_t device_slot(int32_t type) {
  const uint8_t* table = slots.load(std::memory_order_relaxed);
  if (!table) slots.store(table = devices().slot_of, std::memory_order_relaxed);
  return type >= 0 && type < 128 ? table[type] : 255;
}

const atled_device_def* device_def(int32_t type) {
  uint8_t slot = device_slot(type);
  return slot == 255 || slot <= kMetaSlot ? nullptr : &devices().defs[slot];
}

int add_device(const atled_device_def* def) noexcept {
  Devices& all = devices();
  std::lock_guard<std::mutex> lock(all.mutex);
  if (def->size < offsetof(atled_device_def, copy) || !def->name || def->type <= 0 || def->type >= 128)
    return set_error(ATLED_E_PLUGIN, "device: expected a table with size, a name and a type in [1, 128)");
  if (all.slot_of[def->type] != 255)
    return set_error(ATLED_E_PLUGIN, (std::string("device ") + def->name + ": its type number is taken by " +
                                      all.names[all.slot_of[def->type]])
                                         .c_str());
  if (all.count == kMaxDevices)
    return set_error(ATLED_E_PLUGIN, "device: expected at most 16 device types in a process");
  int slot = all.count;
  memcpy(&all.defs[slot], def, def->size < sizeof(atled_device_def) ? def->size : sizeof(atled_device_def));
  all.names[slot] = def->name;
  all.defs[slot].name = all.names[slot].c_str();
  all.slot_of[def->type] = static_cast<uint8_t>(slot);
  ++all.count;
  return ATLED_OK;
}

int device_known(DLDevice device) noexcept {
  uint8_t slot = device_slot(device.device_type);
  if (slot == 255) {
    std::string text =
        "expected one of the devices " + known_names() + ", got device type " + std::to_string(device.device_type);
    return set_error(ATLED_E_DEVICE, text.c_str());
  }
  int32_t count = 1;
  const atled_device_def& def = devices().defs[slot];
  if (def.count && def.count(def.self, &count) != ATLED_OK) return ATLED_E_DEVICE;
  if (device.device_id < 0 || device.device_id >= count) {
    std::string text = "expected " + devices().names[slot] + " index in [0, " + std::to_string(count) + "), got " +
                       std::to_string(device.device_id);
    return set_error(ATLED_E_DEVICE, text.c_str());
  }
  return ATLED_OK;
}

int device_allocate(DLDevice device, size_t nbytes, void** out) noexcept {
  *out = nullptr;
  if (host(device)) {
    *out = allocate(nbytes);
    return *out ? ATLED_OK : set_error(ATLED_E_MEMORY, "the system has no more memory");
  }
  if (device.device_type == ATLED_DEVICE_META) return ATLED_OK;
  const atled_device_def* def = device_def(device.device_type);
  if (!def || !def->allocate)
    return device_known(device) ? ATLED_E_DEVICE : set_error(ATLED_E_DEVICE, "the device cannot allocate");
  return def->allocate(def->self, device.device_id, nbytes, nullptr, out);
}

void device_free(DLDevice device, void* data, size_t nbytes) noexcept {
  if (host(device)) return deallocate(data, nbytes);
  const atled_device_def* def = device_def(device.device_type);
  if (def && def->free && data) def->free(def->self, device.device_id, data, nbytes, nullptr);
}

int device_copy(void* dst, DLDevice dst_device, const void* src, DLDevice src_device, size_t nbytes) noexcept {
  if (nbytes == 0) return ATLED_OK;
  if (host(dst_device) && host(src_device)) {
    memmove(dst, src, nbytes);
    return ATLED_OK;
  }
  const atled_device_def* def = device_def(host(dst_device) ? src_device.device_type : dst_device.device_type);
  if (!def || !def->copy)
    return set_error(ATLED_E_DEVICE,
                     ("cannot copy from " + device_text(src_device) + " to " + device_text(dst_device)).c_str());
  const auto copy = thread_state.non_blocking && def->copy_async ? def->copy_async : def->copy;
  return copy(def->self, dst, dst_device, src, src_device, nbytes, nullptr);
}

NonBlocking::NonBlocking(bool on) : former_(std::exchange(thread_state.non_blocking, on)) {}
NonBlocking::~NonBlocking() { thread_state.non_blocking = former_; }

int device_synchronize(DLDevice device) noexcept {
  const atled_device_def* def = device_def(device.device_type);
  return def && def->synchronize ? def->synchronize(def->self, device.device_id, nullptr) : device_known(device);
}

std::string device_text(DLDevice device) {
  uint8_t slot = device_slot(device.device_type);
  std::string text = slot == 255 ? "device type " + std::to_string(device.device_type) : devices().names[slot];
  return slot <= kMetaSlot ? text : text + ":" + std::to_string(device.device_id);
}

bool device_named(const char* name, DLDeviceType* type) {
  for (int i = 0; i < devices().count; ++i) {
    if (devices().names[i] != name) continue;
    *type = static_cast<DLDeviceType>(devices().defs[i].type);
    return true;
  }
  return false;
}

int parse_device(const char* text, DLDevice* out) noexcept {
  std::string name(text);
  int32_t index = 0;
  size_t colon = name.find(':');
  if (colon != std::string::npos) {
    char* end = nullptr;
    long value = strtol(text + colon + 1, &end, 10);
    if (*end != 0 || end == text + colon + 1 || value < 0 || value > 1024)
      return set_error(ATLED_E_VALUE,
                       ("expected a device such as \"cpu\" or \"cuda:0\", got \"" + name + "\"").c_str());
    index = static_cast<int32_t>(value);
    name.resize(colon);
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    for (int i = 0; i < devices().count; ++i) {
      if (devices().names[i] == name) {
        const atled_device_def& def = devices().defs[i];
        *out = DLDevice{def.type, index};
        if (colon == std::string::npos && def.current_device)
          if (int status = def.current_device(def.self, &out->device_id)) return status;
        return device_known(*out);
      }
    }
    if (attempt == 0 && load_device && load_device(name.c_str()) != ATLED_OK) return ATLED_E_DEVICE;
  }
  return set_error(ATLED_E_DEVICE,
                   ("expected one of the devices " + known_names() + ", got \"" + std::string(text) + "\"").c_str());
}

}  // namespace atled::core
