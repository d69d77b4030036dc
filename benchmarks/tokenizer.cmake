# Texts to token ids. tools/bench_tokenizers.py runs the original on the same texts.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short HEAD
  OUTPUT_VARIABLE tokenizer_bench_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT tokenizer_bench_commit)
  set(tokenizer_bench_commit unknown)
endif()
add_executable(tokenizer_bench ${CMAKE_CURRENT_LIST_DIR}/tokenizer_bench.cc)
target_link_libraries(tokenizer_bench PRIVATE sis_tokenizer)
target_compile_definitions(tokenizer_bench PRIVATE SIS_COMMIT="${tokenizer_bench_commit}")
add_test(NAME tokenizer_bench_smoke COMMAND tokenizer_bench --smoke WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
add_test(NAME tokenizer_curve_smoke COMMAND tokenizer_bench --smoke --curve WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
set_tests_properties(tokenizer_bench_smoke tokenizer_curve_smoke PROPERTIES LABELS bench-smoke TIMEOUT 120)
