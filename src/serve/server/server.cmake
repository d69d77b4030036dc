sis_library(sis_redis_rate
  SOURCES redis_rate_counter.cc
  DEPS sis_access sis_redis)
sis_test(redis_rate_test
  SOURCES redis_rate_counter_test.cc
  DEPS sis_redis_rate)
sis_library(sis_server
  SOURCES app.cc app_cache.cc app_options.cc app_reload.cc app_routes.cc app_views.cc
          chat_loader.cc chat_models.cc chat_options.cc device_memory.cc embed_loader.cc
          front_door.cc line_log.cc metrics_http.cc mock_loader.cc model_keeper.cc
          model_pool.cc otlp_transport.cc router.cc runtime_config.cc score_head.cc score_models.cc
          text_loader.cc tracing.cc
  DEPS sis_server_config sis_redis_rate sis_api sis_breaker sis_gate sis_engine sis_models sis_tokenizer
       sis_selftest sis_http_client sis_http_server sis_telemetry)
sis_test(server_test
  SOURCES chat_loader_test.cc chat_options_test.cc front_door_test.cc line_log_test.cc metrics_http_test.cc
          mock_loader_test.cc model_keeper_test.cc otlp_transport_test.cc router_test.cc
  DEPS sis_server)
