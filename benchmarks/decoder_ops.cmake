# Steps of causal decoders: attention over a paged cache, norms, rotation, gates.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short HEAD
  OUTPUT_VARIABLE decoder_ops_bench_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT decoder_ops_bench_commit)
  set(decoder_ops_bench_commit unknown)
endif()
add_executable(decoder_ops_bench ${CMAKE_CURRENT_LIST_DIR}/decoder_ops_bench.cc)
target_link_libraries(decoder_ops_bench PRIVATE sis_decoder_ops sis_peak)
target_compile_definitions(decoder_ops_bench PRIVATE SIS_COMMIT="${decoder_ops_bench_commit}")
add_test(NAME decoder_ops_bench_smoke COMMAND decoder_ops_bench --smoke)
set_tests_properties(decoder_ops_bench_smoke PROPERTIES LABELS bench-smoke TIMEOUT 120)
