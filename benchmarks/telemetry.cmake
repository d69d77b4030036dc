# What a metric and a log line cost.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short HEAD
  OUTPUT_VARIABLE telemetry_bench_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT telemetry_bench_commit)
  set(telemetry_bench_commit unknown)
endif()
add_executable(telemetry_bench ${CMAKE_CURRENT_LIST_DIR}/telemetry_bench.cc)
target_link_libraries(telemetry_bench PRIVATE sis_telemetry prometheus-cpp::core)
target_compile_definitions(telemetry_bench PRIVATE SIS_COMMIT="${telemetry_bench_commit}")
add_test(NAME telemetry_bench_smoke COMMAND telemetry_bench --smoke)
set_tests_properties(telemetry_bench_smoke PROPERTIES LABELS bench-smoke TIMEOUT 120)
