// Marks that profilers show, through NVTX, where its headers were there; the group "cuda" has these functions.
#pragma once

#include <cstdint>

namespace atled::core::cuda {

int range_push(const char* message, int32_t* depth);
int range_pop(int32_t* depth);
int range_start(const char* message, uint64_t* id);
int range_end(uint64_t id);
int mark(const char* message);

}  // namespace atled::core::cuda
