add_executable(loadgen_bench loadgen_bench.cc)
target_link_libraries(loadgen_bench PRIVATE sis_perf sis_flags)
add_test(NAME loadgen_bench_smoke COMMAND loadgen_bench --smoke)
set_tests_properties(loadgen_bench_smoke PROPERTIES LABELS bench-smoke TIMEOUT 120)
