# The load toolkit judged from outside. Times want the machine for themselves, and no sanitizer; how exact they
# can be on a machine with nothing else to do, test_truth.py without --shared tells.
if(TARGET sis)
  add_test(NAME load_faults
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/test_faults.py $<TARGET_FILE:sis> $<TARGET_FILE:truth_server>)
  set_tests_properties(load_faults PROPERTIES LABELS system TIMEOUT 300)
  if(NOT SIS_SANITIZE)
    add_test(NAME load_truth
      COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/truth/test_truth.py $<TARGET_FILE:sis> $<TARGET_FILE:truth_server> --shared)
    set_tests_properties(load_truth PROPERTIES LABELS system TIMEOUT 300 RUN_SERIAL TRUE SKIP_RETURN_CODE 77)
  endif()
endif()
