// A plain socket for tests: sends bytes exactly as given and reads answers apart.
#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace sis::net::testing {

struct RawAnswer {
  int status = 0;  // 0: the connection ended before an answer
  std::string head;
  std::string body;       // chunks joined
  bool complete = false;  // as its framing says

  bool has(std::string_view text) const { return head.find(text) != std::string::npos; }
};

class RawClient {
 public:
  static constexpr int kPatienceMs = 20'000;  // only so that a broken server fails the test

  explicit RawClient(uint16_t port, int receive_buffer_bytes = 0) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer_bytes > 0)
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                   sizeof receive_buffer_bytes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    const int one = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  ~RawClient() { close(); }
  RawClient(RawClient&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)),
        connected_(other.connected_),
        buffer_(std::move(other.buffer_)) {}

  int socket() const { return socket_; }
  bool connected() const { return connected_; }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  void reset() {  // close with RST
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void shut_sending() { ::shutdown(socket_, SHUT_WR); }

  // False at the end of the stream, on a reset, or when patience is over.
  bool read_some() {
    pollfd entry{.fd = socket_, .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, kPatienceMs) != 1) return false;
    char bytes[65536];
    const ssize_t count = ::recv(socket_, bytes, sizeof bytes, 0);
    if (count <= 0) return false;
    buffer_.append(bytes, static_cast<size_t>(count));
    return true;
  }
  std::string read_to_end() {
    while (read_some()) {
    }
    return std::move(buffer_);
  }
  bool at_end() { return buffer_.empty() && !read_some(); }

  // The next answer; interim ones (1xx) are counted and skipped. `head`: to a HEAD request.
  RawAnswer read(bool head = false) {
    RawAnswer answer;
    for (;;) {
      size_t end;
      while ((end = buffer_.find("\r\n\r\n")) == std::string::npos)
        if (!read_some()) return answer;
      answer.head = buffer_.substr(0, end + 4);
      buffer_.erase(0, end + 4);
      std::from_chars(answer.head.data() + 9, answer.head.data() + 12, answer.status);
      if (answer.status >= 200) break;
      ++interim_;
    }
    if (head || answer.status == 204 || answer.status == 304) {
      answer.complete = true;
    } else if (answer.has("Transfer-Encoding: chunked")) {
      read_chunks(answer);
    } else if (const size_t at = answer.head.find("Content-Length: "); at != std::string::npos) {
      size_t length = 0;
      std::from_chars(answer.head.data() + at + 16, answer.head.data() + answer.head.size(),
                      length);
      while (buffer_.size() < length)
        if (!read_some()) break;
      answer.complete = buffer_.size() >= length;
      answer.body = buffer_.substr(0, length);
      buffer_.erase(0, length);
    } else {
      answer.body = read_to_end();
      answer.complete = true;
    }
    return answer;
  }
  RawAnswer ask(std::string_view request) {
    send(request);
    return read();
  }
  int interim() const { return interim_; }

 private:
  void read_chunks(RawAnswer& answer) {
    for (;;) {
      size_t line;
      while ((line = buffer_.find("\r\n")) == std::string::npos)
        if (!read_some()) return;
      size_t size = 0;
      std::from_chars(buffer_.data(), buffer_.data() + line, size, 16);
      while (buffer_.size() < line + 2 + size + 2)
        if (!read_some()) return;
      answer.body.append(buffer_, line + 2, size);
      buffer_.erase(0, line + 2 + size + 2);
      if (size == 0) {
        answer.complete = true;
        return;
      }
    }
  }

  int socket_ = -1;
  bool connected_ = false;
  std::string buffer_;
  int interim_ = 0;
};

inline std::string get(std::string_view path, std::string_view lines = "") {
  return concat("GET ", path, " HTTP/1.1\r\nHost: localhost\r\n", lines, "\r\n");
}
inline std::string post(std::string_view path, std::string_view body, std::string_view lines = "") {
  return concat("POST ", path, " HTTP/1.1\r\nHost: localhost\r\nContent-Length: ", body.size(),
                "\r\n", lines, "\r\n", body);
}

}  // namespace sis::net::testing
