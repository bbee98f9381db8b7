# The CUDA backend, libatled_cuda.so, beside the extension module.
include("${CMAKE_CURRENT_LIST_DIR}/AtledCuda.cmake")

file(GLOB cuda_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/csrc/cuda/*.cu"
     "${CMAKE_CURRENT_SOURCE_DIR}/csrc/cuda/*.cpp")
# No products fused with sums: results are then the CPU's. Float8 is converted by instructions that sm_80 lacks, and CUB
# has settings for each architecture.
atled_add_cuda_plugin(libatled_cuda DESTINATION atled/core NVCC_OPTIONS -fmad=false
                      ONE_PTX PER_ARCHITECTURE cast.cu radix_sort.cu scaled_matmul.cu
                      SOURCES ${cuda_sources} csrc/ops/rules.cpp csrc/ops/scalars.cpp)
if(TARGET libatled_cuda)
  target_include_directories(libatled_cuda PRIVATE include csrc)
  target_compile_definitions(libatled_cuda PRIVATE ATLED_CORE_VERSION="${PROJECT_VERSION}")
endif()
