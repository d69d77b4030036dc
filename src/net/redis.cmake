# Redis client: hiredis' protocol on sockets and deadlines of our own.
sis_library(sis_redis
  SOURCES redis_client.cc redis_connection.cc redis_reply.cc redis_url.cc
  DEPS sis_telemetry
  PRIVATE_DEPS sis_http_client PkgConfig::hiredis OpenSSL::Crypto)
sis_test(redis_test
  SOURCES redis_client_test.cc redis_reply_test.cc redis_url_test.cc
  DEPS sis_redis sis_http_client_test_server)
sis_fuzz(redis_reply_fuzz
  SOURCES redis_reply_fuzz.cc
  DEPS sis_redis)
