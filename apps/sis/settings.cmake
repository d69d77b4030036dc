sis_test(settings_command_test
  SOURCES settings.cc settings_test.cc
  DEPS sis_server_config nlohmann_json::nlohmann_json)
if(TARGET settings_command_test)
  target_include_directories(settings_command_test PRIVATE ${CMAKE_CURRENT_LIST_DIR})
endif()
