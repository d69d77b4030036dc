sis_library(sis_server
  SOURCES app.cc app_options.cc app_routes.cc app_views.cc chat_loader.cc chat_models.cc chat_options.cc embed_loader.cc
          model_pool.cc router.cc runtime_config.cc score_head.cc score_models.cc text_loader.cc
  DEPS sis_server_config sis_api sis_engine sis_models sis_tokenizer sis_selftest sis_http_server sis_telemetry)
sis_test(server_test
  SOURCES chat_loader_test.cc chat_options_test.cc router_test.cc
  DEPS sis_server)
