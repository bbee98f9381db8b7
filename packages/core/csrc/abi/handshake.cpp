#include <dlfcn.h>

#include <cstdio>
#include <mutex>
#include <string>

#include "abi/abi.h"
#include "abi/stub.h"
#include "abi/tables.h"
#include "atled/plugin.hpp"
#include "dispatch/dispatch.h"
#include "dispatch/error.h"

#ifndef ATLED_CORE_VERSION
#define ATLED_CORE_VERSION "0.0.0"
#endif
// A test simulates a core of a later minor with this.
#ifndef ATLED_CORE_MINOR
#define ATLED_CORE_MINOR ATLED_ABI_MINOR
#endif

namespace atled::core {
namespace {

// sizeof(atled_api) in the header of each minor: append a row when the table grows.
constexpr struct {
  uint32_t minor;
  uint32_t size;
} kTableSizes[] = {{1, sizeof(atled_api)}};

uint32_t table_size(uint32_t minor) {
  uint32_t size = 0;
  for (const auto& row : kTableSizes)
    if (row.minor <= minor) size = row.size;
  return size;
}

struct Peers {
  std::mutex mutex;
  std::vector<Peer> list;
};
Peers& known() {
  static Peers* all = new Peers;
  return *all;
}

int negotiate(const atled_request* r) noexcept {
  if (!r) return ATLED_E_ABI;
  char text[512] = "";
  const char* who = r->distribution ? r->distribution : "a plugin";
  const char* version = r->version ? r->version : "?";
  const int major = ATLED_ABI_MAJOR, minor = ATLED_CORE_MINOR;
  if (r->magic != ATLED_MAGIC) {
    // Nothing else in the request can be trusted, not even where to write the message.
    return set_error(
        ATLED_E_ABI,
        "a plugin's handshake has a bad magic number: it was not built with atled/abi.h, or is damaged; reinstall it");
  }
  if (r->major != static_cast<uint32_t>(major)) {
    snprintf(text, sizeof text,
             "%s %s was built for ABI %u.%u, but atled-core %s has ABI %d.%d: pip install -U atled-core %s", who,
             version, r->major, r->minor, ATLED_CORE_VERSION, major, minor, who);
  } else if (r->target_minor > static_cast<uint32_t>(minor)) {
    snprintf(text, sizeof text,
             "%s %s needs ABI %d.%u or later, but atled-core %s has ABI %d.%d: pip install -U atled-core", who, version,
             major, r->target_minor, ATLED_CORE_VERSION, major, minor);
  } else if (r->target_minor > r->minor) {
    snprintf(text, sizeof text, "%s %s asks for ABI %d.%u but was built with the header of %d.%u: rebuild it", who,
             version, major, r->target_minor, major, r->minor);
  } else if (!r->api || r->api_size % sizeof(void*) != 0) {
    snprintf(text, sizeof text, "%s %s hands over no table of whole functions (size %u): rebuild it", who, version,
             r->api_size);
  } else if (r->minor <= static_cast<uint32_t>(minor) && r->api_size != table_size(r->minor)) {
    snprintf(text, sizeof text, "%s %s hands over %s table: expected %u bytes for ABI %u.%u, got %u: rebuild it", who,
             version, r->api_size < table_size(r->minor) ? "a truncated" : "an oversized", table_size(r->minor),
             r->major, r->minor, r->api_size);
  } else if (r->minor > static_cast<uint32_t>(minor) && r->api_size < sizeof(atled_api)) {
    snprintf(text, sizeof text,
             "%s %s hands over a truncated table: expected at least %zu bytes for ABI %u.%u, got %u: rebuild it", who,
             version, sizeof(atled_api), r->major, r->minor, r->api_size);
  } else {
    fill_table(r->api, r->api_size, &root_table, sizeof root_table);
    return guard([&] {
      std::lock_guard<std::mutex> lock(known().mutex);
      known().list.push_back({who, version, r->minor, r->target_minor});
    });
  }
  if (r->error && r->error_size) snprintf(r->error, r->error_size, "%s", text);
  return set_error(ATLED_E_ABI, text);
}

const atled_handshake shown{ATLED_MAGIC,  ATLED_ABI_MAJOR,    ATLED_CORE_MINOR,
                            "atled-core", ATLED_CORE_VERSION, negotiate};

}  // namespace

const atled_handshake* handshake() noexcept { return &shown; }

std::vector<Peer> peers() {
  std::lock_guard<std::mutex> lock(known().mutex);
  return known().list;
}

void connect_core() noexcept {
  atled::api = root_table;
  atled::api.call = call;
  atled::api.redispatch = redispatch;
}

int load_plugin(const char* path) noexcept {
  return guard([&] {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) fail(ATLED_E_PLUGIN, "plugin %s cannot be loaded: %s", path, dlerror());
    auto init = reinterpret_cast<atled_plugin_init_fn>(dlsym(library, ATLED_INIT_SYMBOL));
    if (!init)
      fail(ATLED_E_PLUGIN, "plugin %s exports no %s: use ATLED_PLUGIN of atled/plugin.hpp", path, ATLED_INIT_SYMBOL);
    clear_error();
    int status = init(&shown);
    if (status == ATLED_OK) return;
    atled_error error;
    if (get_error(&error) == ATLED_OK)
      fail(ATLED_E_PLUGIN, "plugin %s answered status %d without an error", path, status);
    throw Raised{status};
  });
}

}  // namespace atled::core
