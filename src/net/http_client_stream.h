// A non-blocking client socket, plain or TLS, driven by the owner's event loop.
//
// Knows connect, handshake, read, write and why they failed; waiting, timeouts and retries are the
// caller's. Works with edge-triggered polling: a call that returns kAgain has drained the socket.
// One thread per stream; a ClientTls may be shared by all threads.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/http_client_url.h"

namespace sis::net {

struct Endpoint {
  sockaddr_storage address{};
  socklen_t length = 0;
  std::string text() const;  // "127.0.0.1:8000"
};

// Every stream address of the URL's host, in the resolver's order. Blocks.
Result<std::vector<Endpoint>> resolve(const Url& url);

// Settings shared by TLS connections: trust (system's store) and versions (1.2 and up).
class ClientTls {
 public:
  static Result<std::unique_ptr<ClientTls>> create(bool verify);
  ~ClientTls();
  struct State;
  State& state() { return *state_; }

 private:
  explicit ClientTls(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

enum class IoState : uint8_t {
  kDone,    // progress was made
  kAgain,   // the socket must become ready first
  kClosed,  // the peer ended the stream in order
  kFailed,  // see failure()
};

struct IoResult {
  IoState state = IoState::kDone;
  size_t bytes = 0;
};

class ClientStream {
 public:
  ClientStream() = default;
  ~ClientStream();
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;

  // Starts connecting. `tls` (may be null: plain) must outlive the stream; `host` is checked
  // against the certificate and sent as server name.
  Status open(const Endpoint& endpoint, ClientTls* tls, const std::string& host);
  // Goes on with connect and handshake: kDone once established.
  IoState advance();
  IoResult read(std::span<char> into);
  IoResult write(std::span<const iovec> parts);
  void close();

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  bool connected() const { return connected_; }  // TCP stands; the TLS handshake may still run
  bool is_tls() const { return ssl_ != nullptr; }
  const std::string& failure() const { return failure_; }  // "Connection refused"

 private:
  IoState fail(std::string why);
  IoState tls_state(const char* step, int result);

  int fd_ = -1;
  bool connected_ = false, established_ = false;
  void* ssl_ = nullptr;  // SSL*
  std::string failure_;
};

}  // namespace sis::net
