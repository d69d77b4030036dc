# The HTTP server without anything behind it.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short HEAD
  OUTPUT_VARIABLE net_bench_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT net_bench_commit)
  set(net_bench_commit unknown)
endif()
add_executable(net_server_bench ${CMAKE_CURRENT_LIST_DIR}/net_server_bench.cc)
target_link_libraries(net_server_bench PRIVATE sis_http_server Boost::headers)
target_compile_definitions(net_server_bench PRIVATE SIS_COMMIT="${net_bench_commit}")
add_test(NAME net_server_bench_smoke COMMAND net_server_bench --smoke)
set_tests_properties(net_server_bench_smoke PROPERTIES LABELS bench-smoke TIMEOUT 120)
