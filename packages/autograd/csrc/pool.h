// Memory for nodes and slots: per thread, blocks of one size are handed out again before the system is asked.
#pragma once

#include <cstddef>

namespace atled::autograd {

void* pool_allocate(size_t size);  // throws std::bad_alloc
void pool_free(void* block, size_t size) noexcept;

}  // namespace atled::autograd
