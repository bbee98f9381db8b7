// What the interpreter tells the backend, by functions that ctypes finds (src/atled/core/_cuda.py). None of them fails.
#include "cuda/blas.h"
#include "cuda/libraries.h"

ATLED_EXPORT void atled_cuda_set_library_folders(const char* folders) {
  atled::guard([&] { atled::core::cuda::set_library_folders(folders); });
}

ATLED_EXPORT void atled_cuda_allow_tf32(int allowed) { atled::core::cuda::allow_tf32(allowed != 0); }
