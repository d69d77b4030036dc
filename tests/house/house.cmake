# The rules of the house, each with a test of the test. Python from the standard library only.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(house ${CMAKE_CURRENT_LIST_DIR})
function(house_test name)
  add_test(NAME house_${name} COMMAND ${Python3_EXECUTABLE} ${ARGN})
  set_tests_properties(house_${name} PROPERTIES LABELS house TIMEOUT 300)
endfunction()

house_test(includes ${house}/includes.py ${CMAKE_SOURCE_DIR})
house_test(includes_self ${house}/includes.py --self-test)
house_test(settings_use ${house}/settings_use.py ${CMAKE_SOURCE_DIR})
house_test(settings_use_self ${house}/settings_use.py --self-test)

# The flags of the build, less what only matters to code generation.
set(header_command ${CMAKE_CXX_COMPILER} -std=c++20 -Wall -Wextra -Werror -Wno-missing-field-initializers
  -Wno-psabi -Wno-unused-function)
set(header_includes -I ${CMAKE_SOURCE_DIR}/src -I ${CMAKE_BINARY_DIR}/generated)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  house_test(headers ${house}/headers.py ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/house_headers
    ${header_command} ${header_includes})
  # 80 s of CPU time the first time; a machine busy with other builds takes long over it.
  set_tests_properties(house_headers PROPERTIES TIMEOUT 1800)
  house_test(headers_self ${house}/headers.py --self-test ${header_command})
endif()

# Another version of clang-format would want other line breaks.
find_program(SIS_CLANG_FORMAT NAMES clang-format-14 clang-format)
if(SIS_CLANG_FORMAT)
  execute_process(COMMAND ${SIS_CLANG_FORMAT} --version OUTPUT_VARIABLE clang_format_version)
  if(clang_format_version MATCHES "version 14\\.")
    house_test(format ${house}/format.py ${CMAKE_SOURCE_DIR} ${SIS_CLANG_FORMAT})
    house_test(format_self ${house}/format.py --self-test ${SIS_CLANG_FORMAT})
  endif()
endif()
