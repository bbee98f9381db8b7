# What packages include as AtledCuda here: builds their CUDA plugins, from the same sources, for the emulated device.
include_guard(GLOBAL)
include("${CMAKE_CURRENT_LIST_DIR}/../../../cmake/AtledCuda.cmake")

# As the real one; NVCC_OPTIONS are nvcc's. Installed with the component that the package's folder is named after:
# DESTINATION atled/optim is of the component optim.
function(atled_add_cuda_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 plugin "" "DESTINATION" "SOURCES;NVCC_OPTIONS")
  set(sources ${plugin_SOURCES} ${plugin_UNPARSED_ARGUMENTS})
  set(kernels ${sources})
  list(FILTER kernels INCLUDE REGEX "\\.cu$")
  set_source_files_properties(${kernels} PROPERTIES LANGUAGE CXX
                              COMPILE_OPTIONS "-xc++;-include;${emulator}/kernel.h;-Wno-unknown-pragmas")
  add_library(${name} MODULE ${sources})
  set_target_properties(${name} PROPERTIES PREFIX "" INSTALL_RPATH
                        "$ORIGIN;$ORIGIN/../core;$ORIGIN/../../../../core/src/atled/core")
  target_link_libraries(${name} PRIVATE atled::headers atled_emulator Threads::Threads ${CMAKE_DL_LIBS})
  target_include_directories(${name} PRIVATE "${emulator}/include")
  target_include_directories(${name} SYSTEM PRIVATE "${cuda_include}" "${cuda_include}/cccl")
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_compile_options(${name} PRIVATE -O1 -ffp-contract=off -fvisibility=hidden -Wall)
  target_link_options(${name} PRIVATE -Wl,--no-undefined -Wl,--version-script=${emulator}/exports.map)
  get_filename_component(package "${plugin_DESTINATION}" NAME)
  install(TARGETS ${name} LIBRARY DESTINATION "${plugin_DESTINATION}" COMPONENT ${package})
endfunction()
