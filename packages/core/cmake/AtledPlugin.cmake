# Building against atled's public headers. Shipped in the atled-core wheel; scikit-build-core puts it on the module path of
# any project that lists atled-core in build-system.requires. Without scikit-build-core, add
# -DCMAKE_MODULE_PATH=<what atled.core.get_cmake_dir() prints>.
#
#   include(AtledPlugin)
#   atled_add_plugin(_kernels DESTINATION my_package SOURCES csrc/my_op.cpp)
#
# Defines the target atled::headers and the function atled_add_plugin.
include_guard(GLOBAL)

if(NOT ATLED_INCLUDE_DIR)
  get_filename_component(ATLED_INCLUDE_DIR "${CMAKE_CURRENT_LIST_DIR}/../include" ABSOLUTE)
endif()
if(NOT EXISTS "${ATLED_INCLUDE_DIR}/atled/abi.h")
  message(FATAL_ERROR "AtledPlugin: expected atled/abi.h in ${ATLED_INCLUDE_DIR}, got no such file; "
                      "set ATLED_INCLUDE_DIR to what atled.core.get_include() prints")
endif()

add_library(atled_headers INTERFACE)
add_library(atled::headers ALIAS atled_headers)
target_include_directories(atled_headers SYSTEM INTERFACE "${ATLED_INCLUDE_DIR}")
target_compile_features(atled_headers INTERFACE cxx_std_17)

# atled_add_plugin(<name> [DESTINATION <folder in the wheel>] [SOURCES] <source>...)
#
# A plugin library without Python in it: hidden symbols but for atled_plugin_init, no `lib` prefix, the public headers on the
# include path. With DESTINATION, it is installed there.
function(atled_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 plugin "" "DESTINATION" "SOURCES")
  add_library(${name} MODULE ${plugin_SOURCES} ${plugin_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE atled::headers)
  set_target_properties(${name} PROPERTIES
    PREFIX ""
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    CXX_EXTENSIONS OFF
    POSITION_INDEPENDENT_CODE ON)
  if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang" AND NOT MSVC)
    target_compile_options(${name} PRIVATE -Wall -Wextra)
  endif()
  if(plugin_DESTINATION)
    install(TARGETS ${name} LIBRARY DESTINATION "${plugin_DESTINATION}")
  endif()
endfunction()
