# sis_library(name SOURCES ... DEPS ... [PRIVATE_DEPS ...])   one static library per folder
# sis_test(name SOURCES ... DEPS ... [LABELS ...])            one gtest program per folder
# sis_fuzz(name SOURCES ... DEPS ... CORPUS dir)              one libFuzzer program; smoke-run by ctest in the fuzz preset
add_library(sis_flags INTERFACE)
target_include_directories(sis_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(sis_flags INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers
                                           -Wno-psabi -fno-omit-frame-pointer)
target_link_libraries(sis_flags INTERFACE Threads::Threads)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False alarms of g++ 12 in inlined library code.
  target_compile_options(sis_flags INTERFACE -Wno-maybe-uninitialized -Wno-stringop-overflow
    -Wno-array-bounds -Wno-restrict -Wno-stringop-overread -Wno-dangling-pointer
    -Wno-free-nonheap-object)
  if(SIS_SANITIZE MATCHES "thread")
    target_compile_options(sis_flags INTERFACE -Wno-tsan)  # fences in Boost.Asio
  endif()
endif()
if(SIS_SANITIZE)
  target_compile_options(sis_flags INTERFACE -fsanitize=${SIS_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(sis_flags INTERFACE -fsanitize=${SIS_SANITIZE})
endif()
if(SIS_FUZZ)
  target_compile_options(sis_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

function(sis_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC sis_flags ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

function(sis_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(SIS_FUZZ)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} sis_flags GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  if(SIS_SANITIZE)
    math(EXPR ARG_TIMEOUT "${ARG_TIMEOUT} * 3")  # perf_test takes 280 s under TSan
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()

function(sis_fuzz name)
  cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;DEPS" ${ARGN})
  if(NOT SIS_FUZZ)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} sis_flags)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  if(NOT TARGET fuzzers)
    add_custom_target(fuzzers)  # all of these and only what they need
  endif()
  add_dependencies(fuzzers ${name})
  # A scratch folder first, so that new inputs never land in the source tree.
  set(scratch ${CMAKE_BINARY_DIR}/fuzz/${name})
  file(MAKE_DIRECTORY ${scratch})
  add_test(NAME ${name} COMMAND ${name} -max_total_time=20 -timeout=10 -rss_limit_mb=2048
                                        ${scratch} ${ARG_CORPUS})
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()
