find_package(Python3 REQUIRED COMPONENTS Interpreter)
if(TARGET sis)
  add_test(NAME overload_bench_smoke
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/overload/overload.py $<TARGET_FILE:sis> --smoke --mock)
  set_tests_properties(overload_bench_smoke PROPERTIES LABELS bench-smoke TIMEOUT 300)
endif()
