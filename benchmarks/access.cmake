# What a key and a limit cost each request.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short HEAD
  OUTPUT_VARIABLE access_bench_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT access_bench_commit)
  set(access_bench_commit unknown)
endif()
add_executable(access_bench ${CMAKE_CURRENT_LIST_DIR}/access_bench.cc)
target_link_libraries(access_bench PRIVATE sis_access)
target_compile_definitions(access_bench PRIVATE SIS_COMMIT="${access_bench_commit}")
add_test(NAME access_bench_smoke COMMAND access_bench --smoke)
set_tests_properties(access_bench_smoke PROPERTIES LABELS bench-smoke TIMEOUT 120)
