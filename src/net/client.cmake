# HTTP/1.1 client pieces: URL, response parser, socket with TLS, one blocking exchange.
sis_library(sis_http_client
  SOURCES http_client.cc http_client_parser.cc http_client_stream.cc http_client_url.cc
  DEPS sis_base
  PRIVATE_DEPS OpenSSL::SSL)
# Raw-socket server for tests of clients, here and in perf.
sis_library(sis_http_client_test_server
  SOURCES http_client_test_server.cc
  DEPS sis_base)
sis_test(http_client_test
  SOURCES http_client_test.cc
  DEPS sis_http_client sis_http_client_test_server)
sis_fuzz(http_client_fuzz
  SOURCES http_client_fuzz.cc
  DEPS sis_http_client)
