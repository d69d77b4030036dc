# The k6 scripts with the real k6, the CI jobs as a person would run them; 77 where k6 is not installed.
if(TARGET sis)
  add_test(NAME k6_process
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/test_k6.py $<TARGET_FILE:sis>)
  set_tests_properties(k6_process PROPERTIES LABELS system TIMEOUT 300 SKIP_RETURN_CODE 77)
  add_test(NAME ci_process
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/test_ci.py $<TARGET_FILE:sis>)
  set_tests_properties(ci_process PROPERTIES LABELS system TIMEOUT 300)
endif()
