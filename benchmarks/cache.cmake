# What the response cache costs a request.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short HEAD
  OUTPUT_VARIABLE cache_bench_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT cache_bench_commit)
  set(cache_bench_commit unknown)
endif()
add_executable(cache_bench ${CMAKE_CURRENT_LIST_DIR}/cache_bench.cc)
target_link_libraries(cache_bench PRIVATE sis_cache)
target_compile_definitions(cache_bench PRIVATE SIS_COMMIT="${cache_bench_commit}")
add_test(NAME cache_bench_smoke COMMAND cache_bench --smoke)
set_tests_properties(cache_bench_smoke PROPERTIES LABELS bench-smoke TIMEOUT 120)
