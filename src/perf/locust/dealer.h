// The ZeroMQ socket of a Locust worker: a DEALER whose identity is the node id. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace sis::perf {

class Dealer {
 public:
  static constexpr int64_t kMessageBytesMax = 16 << 20;  // of the master's

  // `host` is a name or an address without brackets. Errors: no such host, no socket. Connecting
  // goes on in the background; what is sent meanwhile waits.
  static Result<std::unique_ptr<Dealer>> connect(const std::string& host, uint16_t port,
                                                 const std::string& identity);
  ~Dealer();  // sends what waits for up to a second
  Dealer(const Dealer&) = delete;

  // False when the queue is full and nothing was sent.
  bool send(std::string_view message);
  std::optional<std::string> receive();  // what is there; never waits
  void wait(Duration at_most);           // until a message is there

 private:
  Dealer(void* context, void* socket) : context_(context), socket_(socket) {}
  void* context_;
  void* socket_;
};

}  // namespace sis::perf
