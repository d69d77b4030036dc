# Conversations to prompts; chat_template_bench.py times the original on the same one.
add_executable(chat_template_bench ${CMAKE_CURRENT_LIST_DIR}/chat_template_bench.cc)
target_link_libraries(chat_template_bench PRIVATE sis_chat_template)
add_test(NAME chat_template_bench_smoke COMMAND chat_template_bench --smoke WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
set_tests_properties(chat_template_bench_smoke PROPERTIES LABELS bench-smoke TIMEOUT 120)
