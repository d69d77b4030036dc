// HTTP/1.1 server: sockets, parsing, limits, compression, TLS. What a path means is the handler's.
//
// The handler runs on the connection's I/O thread and must not block; it keeps the Exchange and
// answers from any thread, at once or later. Requests of one connection are answered in order
// (pipelining). When the client goes away while an exchange is unanswered, its on_cancel callback
// runs; a client that only shut down its sending side is still answered (http_session.h tells how
// the two are told apart).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace sis::net {

struct HttpResponse;

// Goes with a request from before its handler until the handler lets go of it; for what stands in
// front of handlers. Any thread; the calls come in this order, each at most once.
class Companion {
 public:
  virtual ~Companion() = default;
  virtual void on_head(HttpResponse& head) = 0;  // before it is sent; may add headers
  virtual void on_end() = 0;                     // before the end of a complete answer is sent
};

struct HttpRequest {
  std::string method;  // "GET"; a HEAD arrives as GET with `head` set and the body is dropped on
                       // the way out
  bool head = false;
  std::string path;                                          // percent-decoded, no query
  std::string query;                                         // raw, without '?'
  std::vector<std::pair<std::string, std::string>> headers;  // in order; names as sent
  std::string body;  // decoded (chunked, Content-Encoding); capacity exceeds size by >= 64 bytes
                     // for simdjson
  std::string peer;  // client address without port
  std::string request_id;   // the client's X-Request-ID when fit to echo, else generated
  TimePoint received_at{};  // when the request line was read
  std::shared_ptr<Companion> companion;  // shared, as copies of a request have the same one

  std::string_view header(
      std::string_view name) const;  // first match, case-insensitive; empty if absent
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool compressible =
      true;  // may be compressed when the client accepts it and the body is large enough
};

// One request waiting for its answer. Dropping the last reference unanswered answers 500.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual HttpRequest& request() = 0;

  // One of respond() or start_stream(), any thread; after the first, further ones do nothing. On
  // the I/O thread it writes without a detour. Compression runs on the calling thread: large bodies
  // belong on a worker.
  virtual void respond(HttpResponse response) = 0;

  // A chunked body piece by piece. write() never blocks: it queues, and returns false once the
  // client is gone or more than ServerOptions::stream_buffer_bytes wait for a slow reader (the
  // caller stops then).
  virtual void start_stream(HttpResponse head) = 0;
  virtual bool write(std::string_view bytes) = 0;
  virtual void finish_stream() = 0;

  // Runs once on an I/O thread when the client disconnects before the answer is complete; at once
  // if it already has. Set at most one; it is dropped when the answer is complete.
  virtual void on_cancel(std::function<void()> callback) = 0;
  virtual bool cancelled() const = 0;

  // Goes on with the request on the connection's I/O thread: at once when called there, later
  // otherwise. For those whose news comes on a thread that must not run handlers. As with a
  // handler, an exception of `call` ends in the answer 500 if nobody else keeps the exchange.
  virtual void run_on_loop(std::function<void()> call) = 0;
};

using Handler = std::function<void(std::shared_ptr<Exchange>)>;

struct ServerOptions {
  std::string address = "0.0.0.0";
  uint16_t port = 8000;  // 0 picks a free one, see HttpServer::port()
  int io_threads = 2;
  size_t header_bytes_max = 64 << 10;  // request line and headers; more: 431
  size_t body_bytes_max =
      64 << 20;  // also after decompression; more: 413, refused at the header when declared
  size_t bodies_bytes_max = size_t{1}
                            << 30;  // memory of all bodies that are held at once; more: 503
  int connections_max = 20000;      // more: accepted, answered 503 and closed
  Duration header_timeout =
      from_seconds(15);  // first byte of a request to the end of its headers: 408
  Duration idle_timeout =
      from_seconds(75);  // between requests on a kept connection: closed silently
  Duration body_gap_timeout = from_seconds(15);  // no body byte for so long: 408
  double body_bytes_per_second_min =
      1024;  // average over the body after a grace of body_gap_timeout: 408
  // However much has arrived, the whole body takes no longer (or one gap, where that is): 408.
  Duration body_timeout = from_seconds(60);
  Duration write_timeout = from_seconds(30);  // a reader that takes nothing for so long is dropped
  size_t compress_bytes_min = 1024;
  size_t stream_buffer_bytes = 1 << 20;
  std::vector<std::string> cors_origins = {"*"};  // empty: no CORS headers
  std::string cors_exposed = "X-Request-ID";  // headers of answers that scripts may read, by commas
  std::string tls_certificate_file, tls_key_file;  // PEM; both or neither
  // Asked at the head of a request whose body is large or of unknown size. False: the handler is
  // going to refuse it whatever the body says, and gets it at once, without; then the connection
  // closes. On I/O threads; null: every body is read.
  std::function<bool(const HttpRequest& head)> wants_body;
  // Body for what is refused before a handler sees it (400, 408, 413, 417, 431, 503, 505).
  std::function<HttpResponse(int status, const std::string& message, const std::string& path)>
      render_error;
};

struct ServerStats {
  int64_t connections_open = 0, requests = 0, protocol_errors = 0;
  int64_t bodies_bytes = 0;  // held at the moment, small ones not counted
};

class HttpServer {
 public:
  // Binds and listens (connections queue) but does not accept before start(). Errors name address
  // and port, or the certificate file and what is wrong with it.
  static Result<std::unique_ptr<HttpServer>> create(ServerOptions options, Handler handler);
  virtual ~HttpServer() = default;

  virtual void start() = 0;  // spawns the I/O threads
  virtual uint16_t port() const = 0;
  virtual ServerStats stats() const = 0;
  // Stops accepting, closes idle connections, answers what runs with Connection: close. Returns
  // when no exchange is open or `budget` is over; then stop() cuts what is left. Called from main's
  // thread.
  virtual bool drain(Duration budget) = 0;
  virtual void stop() = 0;
};

}  // namespace sis::net
