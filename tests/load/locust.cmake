# Real Locust masters with our workers; skipped (77) where Locust is not installed.
if(TARGET sis)
  add_test(NAME locust_process
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/test_locust.py $<TARGET_FILE:sis>)
  set_tests_properties(locust_process PROPERTIES LABELS system TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()
