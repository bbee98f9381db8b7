# The CUDA backend, libatled_cuda.so: a plugin library built with nvcc from the toolkit or from NVIDIA's wheels.
#
# ATLED_CUDA                 AUTO builds it where nvcc is found, ON requires it, OFF leaves it out; the environment
#                            variable of that name is the default.
# ATLED_NVCC                 which nvcc, where the one that is found is not the one that is meant.
# ATLED_CUDA_ARCHITECTURES   machine code for each, and PTX of the last for devices that come later.
#
# CMake's own CUDA language is not used: it cannot work with a toolkit that is spread over wheels.
set(asked AUTO)
if(DEFINED ENV{ATLED_CUDA})
  set(asked "$ENV{ATLED_CUDA}")
endif()
set(ATLED_CUDA "${asked}" CACHE STRING "Build the CUDA backend: AUTO (where nvcc is found), ON or OFF")
set_property(CACHE ATLED_CUDA PROPERTY STRINGS AUTO ON OFF)
if(DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(cuda_architectures "${CMAKE_CUDA_ARCHITECTURES}")
else()
  set(cuda_architectures 80 90)
endif()
set(ATLED_NVCC "" CACHE FILEPATH "nvcc; looked for when empty")
set(ATLED_CUDA_ARCHITECTURES "${cuda_architectures}" CACHE STRING "Compute capabilities, such as 80;90")

# Sets atled_nvcc, and atled_cuda_root to what its include folder and libraries are in; empty when there is none.
function(atled_find_cuda)
  set(root "")
  set(found "${ATLED_NVCC}")
  if(NOT found)
    unset(found)
    find_program(found nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin NO_CACHE)
  endif()
  if(NOT found)
    execute_process(
      COMMAND "${Python_EXECUTABLE}" -c
              "import sysconfig, pathlib; print(*sorted(pathlib.Path(sysconfig.get_path('purelib')).glob('nvidia/cu*/bin/nvcc')), sep=';')"
      OUTPUT_VARIABLE in_wheels OUTPUT_STRIP_TRAILING_WHITESPACE)
    list(POP_BACK in_wheels found)
  endif()
  # The toolkit is where nvcc says it is: what is on the path may be a link or a script that calls it.
  if(found AND EXISTS "${found}")
    execute_process(COMMAND "${found}" --dryrun none.cu OUTPUT_VARIABLE said ERROR_VARIABLE said)
    if(said MATCHES "#\\$ TOP=([^\n]+)")
      string(STRIP "${CMAKE_MATCH_1}" root)
      get_filename_component(root "${root}" REALPATH)
    endif()
  endif()
  set(atled_nvcc "${found}" PARENT_SCOPE)
  set(atled_cuda_root "${root}" PARENT_SCOPE)
endfunction()

# atled_add_cuda(<sources>...): the target atled_cuda, installed beside the extension module.
function(atled_add_cuda)
  find_file(cudart libcudart_static.a PATHS "${atled_cuda_root}" PATH_SUFFIXES lib64 lib targets/x86_64-linux/lib
            targets/sbsa-linux/lib NO_DEFAULT_PATH NO_CACHE)
  find_path(include cuda_runtime_api.h PATHS "${atled_cuda_root}" PATH_SUFFIXES include targets/x86_64-linux/include
            targets/sbsa-linux/include NO_DEFAULT_PATH NO_CACHE)
  if(NOT cudart OR NOT include)
    if(ATLED_CUDA STREQUAL AUTO)
      message(STATUS "CUDA backend: left out, for ${atled_cuda_root} has no libcudart_static.a or cuda_runtime_api.h")
      return()
    endif()
    message(FATAL_ERROR "CUDA backend: expected libcudart_static.a and cuda_runtime_api.h in ${atled_cuda_root}; "
                        "install CUDA, or nvidia-cuda-nvcc, nvidia-cuda-crt, nvidia-cuda-cccl and nvidia-cuda-runtime, or set -DATLED_CUDA=OFF")
  endif()

  set(flags -std=c++20 -O3 -Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wno-unknown-pragmas --expt-relaxed-constexpr
      --extended-lambda --compress-mode=size -Werror=cross-execution-space-call -diag-suppress=186 -DNDEBUG
      # No products fused with sums: results are then the CPU's.
      -fmad=false
      "-I${CMAKE_CURRENT_SOURCE_DIR}/include" "-I${CMAKE_CURRENT_SOURCE_DIR}/csrc" "-I${include}" "-L${atled_cuda_root}/lib")
  foreach(architecture ${ATLED_CUDA_ARCHITECTURES})
    list(APPEND flags "-gencode=arch=compute_${architecture},code=sm_${architecture}")
    set(last ${architecture})
  endforeach()
  list(APPEND flags "-gencode=arch=compute_${last},code=compute_${last}")

  set(objects "")
  set(hosts "")
  foreach(source ${ARGN})
    if(NOT source MATCHES "\\.cu$")
      list(APPEND hosts "${source}")
      continue()
    endif()
    get_filename_component(name "${source}" NAME)
    set(object "${CMAKE_CURRENT_BINARY_DIR}/cuda/${name}.o")
    add_custom_command(
      OUTPUT "${object}"
      COMMAND "${CMAKE_COMMAND}" -E make_directory "${CMAKE_CURRENT_BINARY_DIR}/cuda"
      COMMAND "${atled_nvcc}" "-ccbin=${CMAKE_CXX_COMPILER}" ${flags} -MD -MF "${object}.d" -c "${source}" -o "${object}"
      DEPENDS "${source}"
      DEPFILE "${object}.d"
      COMMENT "Building CUDA object ${name}"
      VERBATIM)
    list(APPEND objects "${object}")
  endforeach()

  add_library(atled_cuda MODULE ${objects} ${hosts})
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  target_include_directories(atled_cuda PRIVATE include csrc)
  target_include_directories(atled_cuda SYSTEM PRIVATE "${include}")
  target_compile_definitions(atled_cuda PRIVATE ATLED_CORE_VERSION="${PROJECT_VERSION}")
  target_compile_options(atled_cuda PRIVATE -Wall -Wextra -fvisibility=hidden)
  set(exports "${CMAKE_CURRENT_BINARY_DIR}/cuda/exports.map")
  file(CONFIGURE OUTPUT "${exports}" CONTENT "{ global: atled_plugin_init; atled_cuda_*; local: *; };\n")
  # Static, so that the library loads where there is no CUDA; its symbols stay inside.
  target_link_libraries(atled_cuda PRIVATE "${cudart}" Threads::Threads ${CMAKE_DL_LIBS} rt)
  target_link_options(atled_cuda PRIVATE "-Wl,--version-script=${exports}" -Wl,--gc-sections -s)
  install(TARGETS atled_cuda LIBRARY DESTINATION atled/core)
  message(STATUS "CUDA backend: ${atled_nvcc}, architectures ${ATLED_CUDA_ARCHITECTURES}")
endfunction()

if(ATLED_CUDA)
  atled_find_cuda()
  if(atled_nvcc)
    file(GLOB cuda_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/csrc/cuda/*.cu"
         "${CMAKE_CURRENT_SOURCE_DIR}/csrc/cuda/*.cpp")
    atled_add_cuda(${cuda_sources} "${CMAKE_CURRENT_SOURCE_DIR}/csrc/ops/rules.cpp"
                   "${CMAKE_CURRENT_SOURCE_DIR}/csrc/ops/scalars.cpp")
  elseif(NOT ATLED_CUDA STREQUAL AUTO)
    message(FATAL_ERROR "CUDA backend: expected nvcc on the path, in CUDA_HOME, in /usr/local/cuda or among Python's packages, "
                        "got none; install CUDA or nvidia-cuda-nvcc and its companions, or set -DATLED_CUDA=OFF")
  else()
    message(STATUS "CUDA backend: left out, for no nvcc was found")
  endif()
endif()
