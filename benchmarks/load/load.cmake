# A server of known behaviour, and what is measured against it.
add_executable(truth_server load/truth_server.cc load/truth_connections.cc load/truth_answers.cc
  load/truth_behaviour.cc)
target_link_libraries(truth_server PRIVATE sis_base sis_flags)
