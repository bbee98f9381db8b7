# Finds oneDNN in the wheels onednn-cpu-gomp and onednn-devel-cpu-gomp and bundles what of it is needed at run time.
#
# Sets ATLED_ONEDNN to whether it was found; -DATLED_ONEDNN=OFF builds without it (convolutions are then computed directly).
# atled_bundle_onednn(<target> DESTINATION <folder>) links the target to it and installs the libraries beside the target.
option(ATLED_ONEDNN "Compute convolutions with oneDNN" ON)
if(ATLED_ONEDNN)
  # Files of a wheel's data folder lie relative to the environment's prefix; its metadata knows where.
  execute_process(
    COMMAND "${Python_EXECUTABLE}" "${CMAKE_CURRENT_LIST_DIR}/find_onednn.py"
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status)
  if(status EQUAL 0)
    list(GET found 0 ONEDNN_LIBRARY)
    list(GET found 1 ONEDNN_INCLUDE_DIR)
    list(GET found 2 ONEDNN_LICENSES)
    message(STATUS "oneDNN: ${ONEDNN_LIBRARY}")
  else()
    message(WARNING "oneDNN was not found, so convolutions are computed directly, which is slow: "
                    "pip install onednn-cpu-gomp onednn-devel-cpu-gomp")
    set(ATLED_ONEDNN OFF)
  endif()
endif()

function(atled_bundle_onednn target)
  cmake_parse_arguments(PARSE_ARGV 1 bundle "" "DESTINATION" "")
  # One real file for each library, under the name that the loader asks for.
  execute_process(COMMAND "${CMAKE_CXX_COMPILER}" -print-file-name=libgomp.so.1 OUTPUT_VARIABLE gomp OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT IS_ABSOLUTE "${gomp}")
    find_library(gomp_found NAMES libgomp.so.1 gomp REQUIRED)
    set(gomp "${gomp_found}")
  endif()
  set(stage "${CMAKE_CURRENT_BINARY_DIR}/bundled")
  file(MAKE_DIRECTORY "${stage}")
  foreach(pair "libdnnl.so.3|${ONEDNN_LIBRARY}" "libgomp.so.1|${gomp}")
    string(REPLACE "|" ";" pair "${pair}")
    list(GET pair 0 name)
    list(GET pair 1 source)
    file(REAL_PATH "${source}" source)
    if("${source}" IS_NEWER_THAN "${stage}/${name}")
      configure_file("${source}" "${stage}/${name}" COPYONLY)
      if(CMAKE_STRIP)
        execute_process(COMMAND "${CMAKE_STRIP}" --strip-unneeded "${stage}/${name}")
      endif()
    endif()
    install(PROGRAMS "${stage}/${name}" DESTINATION "${bundle_DESTINATION}")
  endforeach()
  install(FILES ${ONEDNN_LICENSES}/LICENSE ${ONEDNN_LICENSES}/THIRD-PARTY-PROGRAMS DESTINATION "${bundle_DESTINATION}/licenses/onednn")
  install(FILES licenses/libgomp.txt DESTINATION "${bundle_DESTINATION}/licenses")
  target_include_directories(${target} SYSTEM PRIVATE "${ONEDNN_INCLUDE_DIR}")
  target_link_libraries(${target} PRIVATE "${stage}/libdnnl.so.3" "${stage}/libgomp.so.1")
  # RPATH and not RUNPATH: libdnnl, which has neither, must find libgomp beside it too.
  target_link_options(${target} PRIVATE "LINKER:--disable-new-dtags")
  set_target_properties(${target} PROPERTIES BUILD_RPATH "$ORIGIN" INSTALL_RPATH "$ORIGIN" BUILD_RPATH_USE_ORIGIN ON)
endfunction()
