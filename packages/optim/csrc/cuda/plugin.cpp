// The library's entry: every family adds its kernels.
#include "atled/cuda.hpp"

#ifndef ATLED_VERSION
#define ATLED_VERSION "0.1.0"
#endif

ATLED_CUDA_PLUGIN("atled-optim", ATLED_VERSION)
