# HTTP/1.1 server. The protocol half knows no sockets, so tests and the fuzzer drive it directly.
sis_library(sis_http_protocol
  SOURCES http_text.cc compression.cc http_parser.cc http_render.cc http_exchange.cc
    http_session.cc http_session_answers.cc
  DEPS sis_base
  PRIVATE_DEPS ZLIB::ZLIB PkgConfig::zstd PkgConfig::brotli)
sis_library(sis_http_server
  SOURCES tls.cc io_loop.cc connection.cc http_server.cc
  DEPS sis_http_protocol
  PRIVATE_DEPS OpenSSL::SSL Boost::headers)
if(SIS_SANITIZE MATCHES "undefined" AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # Clang 14 cannot put this check's data in front of coroutines: "Cannot represent a difference across sections".
  set_source_files_properties(io_loop.cc connection.cc http_server.cc PROPERTIES COMPILE_OPTIONS -fno-sanitize=function)
endif()

sis_test(http_protocol_test
  SOURCES http_text_test.cc compression_test.cc http_parser_test.cc http_session_test.cc
    http_session_answers_test.cc
  DEPS sis_http_protocol ZLIB::ZLIB PkgConfig::zstd)
sis_test(http_server_test
  SOURCES http_server_test.cc http_server_limits_test.cc http_server_tls_test.cc
  DEPS sis_http_server OpenSSL::SSL)
sis_test(http_server_idle_test
  SOURCES http_server_idle_test.cc
  DEPS sis_http_server
  LABELS system)
sis_fuzz(http_session_fuzz
  SOURCES http_session_fuzz.cc
  DEPS sis_http_protocol
  CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/http_session_corpus)
