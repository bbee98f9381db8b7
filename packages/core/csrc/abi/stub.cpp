#include "abi/stub.h"

#include <cstring>

#include "dispatch/error.h"

namespace atled::core {
namespace {

int missing() {
  return set_error(ATLED_E_ABI,
                   "this atled-core is older than the plugin that calls it and lacks the function; update it: pip "
                   "install -U atled-core");
}

}  // namespace

void fill_table(void* table, size_t size, const void* ours, size_t our_size) noexcept {
  using Function = int (*)();
  const size_t known = size < our_size ? size : our_size;
  memcpy(table, ours, known);
  const Function stub = missing;
  for (size_t at = known; at + sizeof stub <= size; at += sizeof stub)
    memcpy(static_cast<char*>(table) + at, &stub, sizeof stub);
}

}  // namespace atled::core
