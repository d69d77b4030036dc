# `sis perf` against a KServe server of known behaviour; PERF_ANALYZER names a perf_analyzer to compare with.
if(TARGET sis)
  add_test(NAME perf_process
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/test_perf.py $<TARGET_FILE:sis>)
  set_tests_properties(perf_process PROPERTIES LABELS system TIMEOUT 900 RUN_SERIAL TRUE)
endif()
