# OpenBLAS for matrix products, from the scipy-openblas32 wheel. It is not linked but opened by name when the first large
# product asks for it (csrc/cpu/blas.cpp), so it is only put beside the module. Without the wheel, core's own kernels do.
include_guard(GLOBAL)

option(ATLED_OPENBLAS "Bundle OpenBLAS" ON)

function(atled_link_openblas target)
  if(NOT ATLED_OPENBLAS)
    return()
  endif()
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c "import scipy_openblas32; print(scipy_openblas32.get_lib_dir())"
    OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(failed)
    message(WARNING "OpenBLAS: scipy-openblas32 is not installed, so large matrix products will be slow; "
                    "pip install scipy-openblas32, or set ATLED_OPENBLAS=OFF")
    return()
  endif()
  file(GLOB libraries "${folder}/*openblas*${CMAKE_SHARED_LIBRARY_SUFFIX}")
  list(LENGTH libraries count)
  if(NOT count EQUAL 1)
    message(FATAL_ERROR "OpenBLAS: expected one shared library in ${folder}, got: ${libraries}")
  endif()
  get_filename_component(name "${libraries}" NAME)
  target_compile_definitions(${target} PRIVATE ATLED_OPENBLAS_FILE="${name}")
  install(FILES "${libraries}" DESTINATION atled/core)
endfunction()
