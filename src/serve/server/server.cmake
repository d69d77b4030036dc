sis_library(sis_server
  SOURCES app.cc app_options.cc app_reload.cc app_routes.cc app_views.cc chat_loader.cc chat_models.cc chat_options.cc embed_loader.cc front_door.cc
          model_pool.cc router.cc runtime_config.cc text_loader.cc
  DEPS sis_server_config sis_api sis_engine sis_models sis_tokenizer sis_selftest sis_http_server sis_telemetry)
sis_test(server_test
  SOURCES chat_loader_test.cc chat_options_test.cc front_door_test.cc router_test.cc
  DEPS sis_server)
if(TARGET sis_redis)
  sis_library(sis_redis_rate
    SOURCES redis_rate_counter.cc
    DEPS sis_access sis_redis)
  sis_test(redis_rate_test
    SOURCES redis_rate_counter_test.cc
    DEPS sis_redis_rate)
endif()
