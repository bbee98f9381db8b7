// The tables that plugins get, and how they get them.
#pragma once

#include <string>
#include <vector>

#include "atled/abi.h"

namespace atled::core {

// What the capsule and the init symbol show.
const atled_handshake* handshake() noexcept;
// Fills atled::api of core itself, so that core's own ops are written as a plugin's are.
void connect_core() noexcept;
// Loads a plugin library and runs its init symbol.
int load_plugin(const char* path) noexcept;
// Who has negotiated successfully, in order.
struct Peer {
  std::string distribution, version;
  uint32_t minor, target_minor;
};
std::vector<Peer> peers();
// Set by the Python binding before anything asks for the group "py".
extern atled_py_group py_table;

}  // namespace atled::core
