// The library's entry: every family adds its kernels.
#include "atled/cuda.hpp"

#ifndef ATLED_NN_VERSION
#define ATLED_NN_VERSION "0.1.0"
#endif

ATLED_CUDA_PLUGIN("atled-nn", ATLED_NN_VERSION)
