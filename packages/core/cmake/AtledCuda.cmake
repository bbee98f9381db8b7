# CUDA kernels in a wheel: builds a plugin library with nvcc from the toolkit or from NVIDIA's wheels. Shipped in the
# atled-core wheel beside AtledPlugin.cmake.
#
#   include(AtledCuda)
#   atled_add_cuda_plugin(libmine_cuda DESTINATION my_package SOURCES csrc/my_op.cu)
#
# Options that mean the same in every package; environment variables of these names are their defaults:
#
# ATLED_CUDA                 AUTO builds for CUDA where nvcc is found, ON requires it, OFF leaves it out.
# ATLED_NVCC                 which nvcc, where the one that is found is not the one that is meant.
# ATLED_CUDA_ARCHITECTURES   machine code for each, and PTX for devices that come later.
# ATLED_CUDA_QUICK           ON compiles in half the time what is right but slow, as to see whether it compiles.
#
# CMake's own CUDA language is not used: it cannot work with a toolkit that is spread over wheels.
include_guard(GLOBAL)
include("${CMAKE_CURRENT_LIST_DIR}/AtledPlugin.cmake")

# A default that has changed since the last time, in a build folder that is used again, is followed.
function(atled_cuda_option name type default text)
  if(DEFINED ENV{${name}})
    set(default "$ENV{${name}}")
  endif()
  if(DEFINED CACHE{${name}_DEFAULT} AND "$CACHE{${name}}" STREQUAL "$CACHE{${name}_DEFAULT}")
    set(force FORCE)
  endif()
  set(${name} "${default}" CACHE ${type} "${text}" ${force})
  set(${name}_DEFAULT "${default}" CACHE INTERNAL "")
endfunction()
set(atled_cuda_architectures ${CMAKE_CUDA_ARCHITECTURES})
list(TRANSFORM atled_cuda_architectures REPLACE "-(real|virtual)$" "")
list(FILTER atled_cuda_architectures INCLUDE REGEX "^[0-9]+[a-z]?$")  # not "native" or "all"
list(REMOVE_DUPLICATES atled_cuda_architectures)
if(NOT atled_cuda_architectures)
  set(atled_cuda_architectures 80 90)
endif()
atled_cuda_option(ATLED_CUDA STRING AUTO "Build for CUDA: AUTO (where nvcc is found), ON or OFF")
set_property(CACHE ATLED_CUDA PROPERTY STRINGS AUTO ON OFF)
atled_cuda_option(ATLED_NVCC FILEPATH "" "nvcc; looked for when empty")
atled_cuda_option(ATLED_CUDA_ARCHITECTURES STRING "${atled_cuda_architectures}" "Compute capabilities, such as 80;90")
atled_cuda_option(ATLED_CUDA_QUICK BOOL OFF "Compile in half the time what is right but slow")

# Sets atled_nvcc, and atled_cuda_root to what its include folder and libraries are in; empty when there is none.
function(atled_find_cuda)
  set(root "")
  set(found "${ATLED_NVCC}")
  if(NOT found)
    unset(found)
    find_program(found nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin NO_CACHE)
  endif()
  if(NOT found)
    find_package(Python QUIET COMPONENTS Interpreter)
    execute_process(
      COMMAND "${Python_EXECUTABLE}" -c
              "import sysconfig, pathlib; print(*sorted(pathlib.Path(sysconfig.get_path('purelib')).glob('nvidia/cu*/bin/nvcc')), sep=';')"
      OUTPUT_VARIABLE in_wheels OUTPUT_STRIP_TRAILING_WHITESPACE)
    list(POP_BACK in_wheels found)
  endif()
  # The toolkit is where nvcc says it is: what is on the path may be a link or a script that calls it.
  if(NOT EXISTS "${found}")
    set(found "")
  else()
    execute_process(COMMAND "${found}" --dryrun none.cu OUTPUT_VARIABLE said ERROR_VARIABLE said)
    if(said MATCHES "#\\$ TOP=([^\n]+)")
      string(STRIP "${CMAKE_MATCH_1}" root)
      get_filename_component(root "${root}" REALPATH)
    endif()
  endif()
  set(atled_nvcc "${found}" PARENT_SCOPE)
  set(atled_cuda_root "${root}" PARENT_SCOPE)
endfunction()

# Leaves a library out for want of something, which is an error with ATLED_CUDA=ON.
function(atled_leave_cuda_out name missing)
  if(NOT ATLED_CUDA STREQUAL AUTO)
    message(FATAL_ERROR "${name}: expected ${missing}, got none; install CUDA, or nvidia-cuda-nvcc, nvidia-cuda-crt, "
                        "nvidia-nvvm, nvidia-cuda-cccl and nvidia-cuda-runtime, or set -DATLED_CUDA=OFF")
  endif()
  message(STATUS "${name}: left out, for there is no ${missing}")
endfunction()

# atled_add_cuda_plugin(<name> [DESTINATION <folder in the wheel>] [NVCC_OPTIONS <option>...] [ONE_PTX]
#                       [PER_ARCHITECTURE <file name>...] [SOURCES] <source>...)
#
# Sources are compiled for each architecture. With ONE_PTX they are compiled once, for the first, whose PTX becomes the
# machine code of all: a quarter of the time, for code that asks no architecture for what earlier ones lack; the files
# of PER_ARCHITECTURE do.
#
# A plugin library, as atled_add_plugin's, of .cu files, which nvcc compiles as C++17, and of others, which the compiler
# for C++ does. The target's include directories and definitions are both's. With DESTINATION, it is installed there, as
# the component cuda. Where CUDA is left out there is no target:
#
#   if(TARGET <name>)
#     target_include_directories(<name> PRIVATE csrc)
#   endif()
function(atled_add_cuda_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 plugin "ONE_PTX" "DESTINATION" "SOURCES;NVCC_OPTIONS;PER_ARCHITECTURE")
  if(NOT ATLED_CUDA)
    return()
  endif()
  atled_find_cuda()
  if(NOT atled_nvcc)
    atled_leave_cuda_out(${name} "nvcc as ATLED_NVCC, on the path, in CUDA_HOME, in /usr/local/cuda or among Python's packages")
    return()
  endif()
  unset(cudart)
  unset(include)
  find_file(cudart libcudart_static.a PATHS "${atled_cuda_root}" PATH_SUFFIXES lib64 lib targets/x86_64-linux/lib
            targets/sbsa-linux/lib NO_DEFAULT_PATH NO_CACHE)
  find_path(include cuda_runtime_api.h PATHS "${atled_cuda_root}" PATH_SUFFIXES include targets/x86_64-linux/include
            targets/sbsa-linux/include NO_DEFAULT_PATH NO_CACHE)
  if(NOT cudart OR NOT include)
    atled_leave_cuda_out(${name} "libcudart_static.a and cuda_runtime_api.h in ${atled_cuda_root}")
    return()
  endif()

  # -O is the host code's, of which each kernel has some; the least code takes the longest to compress.
  set(effort -O3 --compress-mode=size)
  if(ATLED_CUDA_QUICK)
    set(effort -O0 -Ofc=max --compress-mode=balance)
  endif()
  # In C++20 libstdc++'s arithmetic of std::complex compiles for a device, and computes nothing there.
  set(flags -std=c++17 ${effort} -Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wno-unknown-pragmas --expt-relaxed-constexpr
      --extended-lambda -Werror=cross-execution-space-call -diag-suppress=186 -DNDEBUG
      ${plugin_NVCC_OPTIONS} "-I${include}" "-L${atled_cuda_root}/lib")
  list(SORT ATLED_CUDA_ARCHITECTURES COMPARE NATURAL)
  set(each "")
  foreach(architecture ${ATLED_CUDA_ARCHITECTURES})
    list(APPEND each "-gencode=arch=compute_${architecture},code=sm_${architecture}")
    set(last ${architecture})
  endforeach()
  if(NOT each)
    message(FATAL_ERROR "${name}: expected ATLED_CUDA_ARCHITECTURES such as 80;90, got none")
  endif()
  list(APPEND each "-gencode=arch=compute_${last},code=compute_${last}")
  list(GET ATLED_CUDA_ARCHITECTURES 0 first)
  list(JOIN ATLED_CUDA_ARCHITECTURES ",sm_" codes)
  set(one "-gencode=arch=compute_${first},code=[compute_${first},sm_${codes}]")
  set(folders "$<TARGET_PROPERTY:${name},INCLUDE_DIRECTORIES>")
  set(definitions "$<TARGET_PROPERTY:${name},COMPILE_DEFINITIONS>")
  list(APPEND flags "$<$<BOOL:${folders}>:-I$<JOIN:${folders},;-I>>" "$<$<BOOL:${definitions}>:-D$<JOIN:${definitions},;-D>>")

  set(objects "")
  set(hosts "")
  foreach(source ${plugin_SOURCES} ${plugin_UNPARSED_ARGUMENTS})
    get_filename_component(source "${source}" ABSOLUTE)
    if(NOT source MATCHES "\\.cu$")
      list(APPEND hosts "${source}")
      continue()
    endif()
    get_filename_component(file "${source}" NAME)
    set(object "${CMAKE_CURRENT_BINARY_DIR}/${name}/${file}.o")
    set(architectures "${each}")
    if(plugin_ONE_PTX AND first MATCHES "^[0-9]+$" AND NOT file IN_LIST plugin_PER_ARCHITECTURE)
      set(architectures "${one}")
    endif()
    add_custom_command(
      OUTPUT "${object}"
      COMMAND "${CMAKE_COMMAND}" -E make_directory "${CMAKE_CURRENT_BINARY_DIR}/${name}"
      COMMAND "${atled_nvcc}" "-ccbin=${CMAKE_CXX_COMPILER}" "${flags}" "${architectures}" -MD -MF "${object}.d" -c "${source}" -o "${object}"
      DEPENDS "${source}"
      DEPFILE "${object}.d"
      COMMENT "Building CUDA object ${name}/${file}"
      COMMAND_EXPAND_LISTS VERBATIM)
    list(APPEND objects "${object}")
  endforeach()

  find_package(Threads REQUIRED)
  atled_add_plugin(${name} ${objects} ${hosts})
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_include_directories(${name} SYSTEM PRIVATE "${include}")
  set(exports "${CMAKE_CURRENT_BINARY_DIR}/${name}/exports.map")
  file(CONFIGURE OUTPUT "${exports}" CONTENT "{ global: atled_plugin_init; atled_cuda_*; local: *; };\n")
  # Static, so that the library loads where there is no CUDA; its symbols stay inside.
  target_link_libraries(${name} PRIVATE "${cudart}" Threads::Threads ${CMAKE_DL_LIBS} rt)
  target_link_options(${name} PRIVATE "-Wl,--version-script=${exports}" -Wl,--gc-sections -s)
  if(plugin_DESTINATION)
    install(TARGETS ${name} LIBRARY DESTINATION "${plugin_DESTINATION}" COMPONENT cuda)
  endif()
  message(STATUS "${name}: ${atled_nvcc}, architectures ${ATLED_CUDA_ARCHITECTURES}")
endfunction()
