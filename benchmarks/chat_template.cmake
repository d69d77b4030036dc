# Conversations to prompts. tools/bench_chat_templates.py times the original on the same ones.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short HEAD
  OUTPUT_VARIABLE chat_template_bench_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT chat_template_bench_commit)
  set(chat_template_bench_commit unknown)
endif()
add_executable(chat_template_bench ${CMAKE_CURRENT_LIST_DIR}/chat_template_bench.cc)
target_link_libraries(chat_template_bench PRIVATE sis_chat_template)
target_compile_definitions(chat_template_bench PRIVATE SIS_COMMIT="${chat_template_bench_commit}")
add_test(NAME chat_template_bench_smoke COMMAND chat_template_bench --smoke WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
set_tests_properties(chat_template_bench_smoke PROPERTIES LABELS bench-smoke TIMEOUT 120)
