sis_library(sis_access
  SOURCES api_keys.cc auth.cc rate_client.cc rate_counter.cc rate_limits.cc rate_log.cc
  DEPS sis_base
  PRIVATE_DEPS OpenSSL::Crypto)
sis_test(access_test
  SOURCES api_keys_test.cc auth_test.cc rate_client_test.cc rate_counter_test.cc rate_log_test.cc
  DEPS sis_access)
