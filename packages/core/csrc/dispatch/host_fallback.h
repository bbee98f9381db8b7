// Running ops of another device on the CPU: arguments are copied there, results back. Off unless asked for, since each
// call costs copies and waits for the device.
#pragma once

#include "atled/abi.h"

namespace atled::core {

// For a device that a plugin added, by name, which loads it. DeviceError for "cpu" and "meta".
int fallback_to_cpu(const char* device, bool on) noexcept;

}  // namespace atled::core
