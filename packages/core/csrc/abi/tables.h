// The functions behind atled/abi.h, and the groups by name.
#pragma once

#include "atled/abi.h"

namespace atled::core {

extern const atled_api root_table;

int get_group(const char* name, uint32_t version, void* table, size_t size) noexcept;
int publish_group(const char* name, uint32_t version, const void* table, size_t size) noexcept;

}  // namespace atled::core
