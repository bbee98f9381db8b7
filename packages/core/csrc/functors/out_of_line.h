// ATLED_OUT_OF_LINE marks long functions that kernels call in many places: one copy in the device's code is enough.
#pragma once

#include "atled/dtype.hpp"

#if defined(__CUDACC__)
#define ATLED_OUT_OF_LINE ATLED_HOST_DEVICE __noinline__
#else
#define ATLED_OUT_OF_LINE
#endif
