# The load toolkit judged from outside. Exact times want the machine for themselves.
if(TARGET sis AND NOT SIS_FUZZ)
  add_test(NAME load_truth
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/truth/test_truth.py $<TARGET_FILE:sis> $<TARGET_FILE:truth_server>)
  add_test(NAME load_faults
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/test_faults.py $<TARGET_FILE:sis> $<TARGET_FILE:truth_server>)
  set_tests_properties(load_truth load_faults PROPERTIES LABELS system TIMEOUT 300 SKIP_RETURN_CODE 77)
  set_tests_properties(load_truth PROPERTIES RUN_SERIAL TRUE)
endif()
