# A server of known behaviour, and what is measured against it.
add_executable(truth_server load/truth_server.cc load/truth_connections.cc load/truth_answers.cc
  load/truth_behaviour.cc load/truth_request.cc)
target_link_libraries(truth_server PRIVATE sis_base sis_flags)
if(TARGET sis)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  add_test(NAME load_compare_smoke
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/compare.py $<TARGET_FILE:sis> $<TARGET_FILE:truth_server> --smoke)
  add_test(NAME load_memory_smoke
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/memory.py $<TARGET_FILE:sis> $<TARGET_FILE:truth_server>
      --requests 3000000 --every 500000)
  set_tests_properties(load_compare_smoke load_memory_smoke PROPERTIES LABELS bench-smoke TIMEOUT 300)
endif()
