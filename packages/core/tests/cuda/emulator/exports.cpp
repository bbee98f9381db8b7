// What stand-ins of NVIDIA's other libraries ask of the emulator, whose functions are not visible otherwise.
#include "emulator.h"

#define ATLED_EMULATOR_EXPORT extern "C" __attribute__((visibility("default")))

ATLED_EMULATOR_EXPORT int atled_emulator_enqueue(cudaStream_t stream, void (*work)(void*), void* given) {
  return atled::emulator::enqueue(stream, [=] { work(given); });
}
ATLED_EMULATOR_EXPORT int atled_emulator_current_device() { return atled::emulator::current_device(); }
// -1 for memory that no device has
ATLED_EMULATOR_EXPORT int atled_emulator_device_of(const void* pointer) {
  int device = -1;
  return atled::emulator::on_device(pointer, &device) ? device : -1;
}
// Whether anything has made a device's context, which takes hundreds of megabytes of a real one.
ATLED_EMULATOR_EXPORT int atled_emulator_has_context(int device) { return atled::emulator::has_context(device); }
