# Linear layers against oneDNN's matrix products, which the product itself does not use.
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short HEAD
  OUTPUT_VARIABLE gemm_bench_commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT gemm_bench_commit)
  set(gemm_bench_commit unknown)
endif()
add_executable(gemm_bench ${CMAKE_CURRENT_LIST_DIR}/gemm_bench.cc
  ${CMAKE_CURRENT_LIST_DIR}/gemm_decode.cc ${CMAKE_CURRENT_LIST_DIR}/gemm_onednn.cc)
target_link_libraries(gemm_bench PRIVATE sis_linear sis_peak dnnl_cpu)
target_compile_definitions(gemm_bench PRIVATE SIS_COMMIT="${gemm_bench_commit}")
add_test(NAME gemm_bench_smoke COMMAND gemm_bench --smoke)
set_tests_properties(gemm_bench_smoke PROPERTIES LABELS bench-smoke TIMEOUT 120)
