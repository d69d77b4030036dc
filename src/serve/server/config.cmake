sis_library(sis_server_config
  SOURCES access_file.cc access_rules.cc catalog.cc metrics_table.cc model_choice.cc model_folder.cc
          settings_rows.cc settings_table.cc
  DEPS sis_base sis_yaml sis_telemetry sis_access)
sis_test(server_config_test
  SOURCES access_file_test.cc access_rules_test.cc catalog_test.cc metrics_table_test.cc
          model_choice_test.cc settings_table_test.cc
  DEPS sis_server_config)
sis_fuzz(access_fuzz
  SOURCES access_fuzz.cc
  DEPS sis_server_config
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz_corpus/access)
