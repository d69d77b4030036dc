#include "net/http_client_test_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"

namespace sis::net {
namespace {

bool wait_readable(int fd, const std::atomic<bool>& stop) {
  while (!stop) {
    pollfd poll_fd{.fd = fd, .events = POLLIN, .revents = 0};
    if (poll(&poll_fd, 1, 20) > 0) return true;
  }
  return false;
}

}  // namespace

std::string ScriptedServer::Peer::read_request() {
  for (;;) {
    const size_t head_end = buffer_.find("\r\n\r\n");
    if (head_end != std::string::npos) {
      size_t body_bytes = 0;
      const std::string head = to_lower(buffer_.substr(0, head_end));
      if (const size_t at = head.find("\r\ncontent-length:"); at != std::string::npos)
        body_bytes = std::stoul(head.substr(at + 17));
      const size_t total = head_end + 4 + body_bytes;
      if (buffer_.size() >= total) {
        std::string request = buffer_.substr(0, total);
        buffer_.erase(0, total);
        ++server_->requests_;
        return request;
      }
    }
    if (!wait_readable(fd_, server_->stop_)) return {};
    char piece[4096];
    const ssize_t n = recv(fd_, piece, sizeof piece, 0);
    if (n <= 0) return {};
    buffer_.append(piece, static_cast<size_t>(n));
  }
}

bool ScriptedServer::Peer::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void ScriptedServer::Peer::send_slowly(std::string_view bytes, size_t piece,
                                       std::chrono::microseconds gap) {
  for (size_t i = 0; i < bytes.size(); i += piece) {
    if (!send(bytes.substr(i, piece))) return;
    std::this_thread::sleep_for(gap);
  }
}

void ScriptedServer::Peer::wait(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!server_->stop_ && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(
        end - std::chrono::steady_clock::now(), std::chrono::milliseconds(10)));
}

void ScriptedServer::Peer::wait_for_close() {
  char ignored[4096];
  while (wait_readable(fd_, server_->stop_))
    if (recv(fd_, ignored, sizeof ignored, 0) <= 0) return;
}

void ScriptedServer::Peer::reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

ScriptedServer::ScriptedServer(std::function<void(Peer&)> script) : script_(std::move(script)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  SIS_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0,
            "errno=", errno);
  SIS_CHECK(listen(listener_, 256) == 0, "errno=", errno);
  socklen_t length = sizeof address;
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

ScriptedServer::~ScriptedServer() {
  stop_ = true;
  acceptor_.join();
  // The acceptor is gone, so nobody adds threads any more.
  for (auto& thread : threads_) thread.join();
}

void ScriptedServer::stop_listening() {
  refuse_ = true;
  if (acceptor_.joinable()) acceptor_.join();
  acceptor_ = std::thread([] {});
}

void ScriptedServer::accept_all() {
  while (!stop_ && !refuse_) {
    pollfd poll_fd{.fd = listener_, .events = POLLIN, .revents = 0};
    if (poll(&poll_fd, 1, 10) <= 0) continue;
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const int number = connections_++;
    threads_.emplace_back([this, fd, number] {
      Peer peer;
      peer.number = number;
      peer.server_ = this;
      peer.fd_ = fd;
      script_(peer);
      close(fd);
    });
  }
  close(listener_);
}

std::string plain_answer(std::string_view body, int status) {
  return concat("HTTP/1.1 ", status,
                " X\r\nContent-Type: application/json\r\nContent-Length: ", body.size(), "\r\n\r\n",
                body);
}

}  // namespace sis::net
