set(locust_SOURCES command.cc dealer.cc msgpack.cc protocol.cc session.cc stats.cc task_sets.cc users.cc)
set(locust_TESTS msgpack_test.cc session_test.cc stats_test.cc users_test.cc)
# The plan that people find among the tests is the one the program carries.
set(predict_mix_file ${CMAKE_SOURCE_DIR}/tests/load/predict-mix.yaml)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${predict_mix_file})
file(READ ${predict_mix_file} predict_mix_text)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/perf/locust/predict_mix.inc
  CONTENT "R\"plan(@predict_mix_text@)plan\"\n" @ONLY)
