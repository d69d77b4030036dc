# What the server tells about itself, read by those it is meant for.
if(TARGET sis)
  add_test(NAME traces_process
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/test_traces.py $<TARGET_FILE:sis>)
  add_test(NAME prometheus_process
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/test_prometheus.py $<TARGET_FILE:sis>)
  set_tests_properties(traces_process prometheus_process PROPERTIES LABELS system TIMEOUT 600)
  set_tests_properties(prometheus_process PROPERTIES SKIP_RETURN_CODE 77)  # without the package prometheus
endif()
