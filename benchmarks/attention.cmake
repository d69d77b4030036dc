# Encoder attention and row-wise steps.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short HEAD
  OUTPUT_VARIABLE attention_bench_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT attention_bench_commit)
  set(attention_bench_commit unknown)
endif()
add_executable(attention_bench ${CMAKE_CURRENT_LIST_DIR}/attention_bench.cc)
target_link_libraries(attention_bench PRIVATE sis_encoder_ops sis_peak)
target_compile_definitions(attention_bench PRIVATE SIS_COMMIT="${attention_bench_commit}")
add_test(NAME attention_bench_smoke COMMAND attention_bench --smoke)
set_tests_properties(attention_bench_smoke PROPERTIES LABELS bench-smoke TIMEOUT 120)
