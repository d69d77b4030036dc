# Schemas to grammars, and their token masks.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short HEAD
  OUTPUT_VARIABLE grammar_bench_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT grammar_bench_commit)
  set(grammar_bench_commit unknown)
endif()
add_executable(grammar_bench ${CMAKE_CURRENT_LIST_DIR}/grammar_bench.cc)
target_link_libraries(grammar_bench PRIVATE sis_grammar)
target_compile_definitions(grammar_bench PRIVATE SIS_COMMIT="${grammar_bench_commit}")
add_test(NAME grammar_bench_smoke COMMAND grammar_bench --smoke WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
set_tests_properties(grammar_bench_smoke PROPERTIES LABELS bench-smoke TIMEOUT 120)
