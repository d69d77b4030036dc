# HTTP/1.1 server. The protocol half knows no sockets, so tests and the fuzzer drive it directly.
sis_library(sis_http_protocol
  SOURCES http_text.cc compression.cc http_parser.cc http_render.cc http_exchange.cc http_session.cc
  DEPS sis_base
  PRIVATE_DEPS ZLIB::ZLIB PkgConfig::zstd PkgConfig::brotli)
sis_library(sis_http_server
  SOURCES tls.cc io_loop.cc connection.cc http_server.cc
  DEPS sis_http_protocol
  PRIVATE_DEPS OpenSSL::SSL Boost::headers)
