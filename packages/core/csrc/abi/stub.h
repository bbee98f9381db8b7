// What stands where a core is too old to have a function: a stub that raises, never NULL.
#pragma once

#include <cstddef>

namespace atled::core {

// Copies the part of `ours` that fits and fills the rest of `table` (size bytes) with stubs.
void fill_table(void* table, size_t size, const void* ours, size_t our_size) noexcept;

}  // namespace atled::core
