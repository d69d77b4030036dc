#include "perf/locust/dealer.h"

#include <zmq.h>

#include "base/strings.h"

namespace sis::perf {
namespace {

bool set(void* socket, int option, int value) {
  return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

}  // namespace

Result<std::unique_ptr<Dealer>> Dealer::connect(const std::string& host, uint16_t port,
                                                const std::string& identity) {
  const bool v6 = host.find(':') != std::string::npos;
  const std::string address =
      v6 ? concat("tcp://[", host, "]:", port) : concat("tcp://", host, ":", port);
  void* context = zmq_ctx_new();
  void* socket = context != nullptr ? zmq_socket(context, ZMQ_DEALER) : nullptr;
  const int64_t bytes_max = kMessageBytesMax;
  const bool ready =
      socket != nullptr &&
      zmq_setsockopt(socket, ZMQ_ROUTING_ID, identity.data(), identity.size()) == 0 &&
      zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max) == 0 &&
      set(socket, ZMQ_TCP_KEEPALIVE, 1) && set(socket, ZMQ_TCP_KEEPALIVE_IDLE, 30) &&
      set(socket, ZMQ_LINGER, 1000) && set(socket, ZMQ_RECONNECT_IVL_MAX, 5000) &&
      set(socket, ZMQ_IPV6, v6 ? 1 : 0);
  if (ready && zmq_connect(socket, address.c_str()) == 0)
    return std::unique_ptr<Dealer>(new Dealer(context, socket));
  Error error{Code::kUnavailable, concat(address, ": ", zmq_strerror(zmq_errno()))};
  if (socket != nullptr) zmq_close(socket);
  if (context != nullptr) zmq_ctx_term(context);
  return error;
}

Dealer::~Dealer() {
  zmq_close(socket_);
  zmq_ctx_term(context_);
}

bool Dealer::send(std::string_view message) {
  return zmq_send(socket_, message.data(), message.size(), ZMQ_DONTWAIT) >= 0;
}

std::optional<std::string> Dealer::receive() {
  std::optional<std::string> first;
  for (;;) {  // parts behind the first are not Locust's
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, socket_, ZMQ_DONTWAIT) < 0) {
      zmq_msg_close(&message);
      return first;
    }
    const bool more = zmq_msg_more(&message) != 0;
    if (!first)
      first.emplace(static_cast<const char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
    zmq_msg_close(&message);
    if (!more) return first;
  }
}

void Dealer::wait(Duration at_most) {
  zmq_pollitem_t item{.socket = socket_, .fd = 0, .events = ZMQ_POLLIN, .revents = 0};
  zmq_poll(&item, 1, static_cast<long>(to_ms(at_most)));
}

}  // namespace sis::perf
