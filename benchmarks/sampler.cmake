# Choosing tokens from logits.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short HEAD
  OUTPUT_VARIABLE sampler_bench_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT sampler_bench_commit)
  set(sampler_bench_commit unknown)
endif()
add_executable(sampler_bench ${CMAKE_CURRENT_LIST_DIR}/sampler_bench.cc)
target_link_libraries(sampler_bench PRIVATE sis_engine)
target_compile_definitions(sampler_bench PRIVATE SIS_COMMIT="${sampler_bench_commit}")
add_test(NAME sampler_bench_smoke COMMAND sampler_bench --smoke)
set_tests_properties(sampler_bench_smoke PROPERTIES LABELS bench-smoke TIMEOUT 120)
