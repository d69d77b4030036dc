#include "net/http_client_stream.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "base/strings.h"

namespace sis::net {
namespace {

std::string error_text(int code) { return std::strerror(code); }

SSL* as_ssl(void* ssl) { return static_cast<SSL*>(ssl); }

}  // namespace

std::string Endpoint::text() const {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host, sizeof host, port,
                  sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "unknown address";
  return address.ss_family == AF_INET6 ? concat("[", host, "]:", port) : concat(host, ":", port);
}

Result<std::vector<Endpoint>> resolve(const Url& url) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int code = getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &list);
  if (code != 0)
    return Error{Code::kNotFound,
                 concat("host ", in_quotes(url.host), ": ",
                        code == EAI_SYSTEM ? error_text(errno) : gai_strerror(code))};
  std::vector<Endpoint> endpoints;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_addrlen > sizeof(sockaddr_storage)) continue;
    Endpoint& endpoint = endpoints.emplace_back();
    std::memcpy(&endpoint.address, entry->ai_addr, entry->ai_addrlen);
    endpoint.length = entry->ai_addrlen;
  }
  freeaddrinfo(list);
  if (endpoints.empty())
    return Error{Code::kNotFound, concat("host ", in_quotes(url.host), ": no address")};
  return endpoints;
}

struct ClientTls::State {
  SSL_CTX* context = nullptr;
  bool verify = false;
  ~State() { SSL_CTX_free(context); }
};

ClientTls::ClientTls(std::unique_ptr<State> state) : state_(std::move(state)) {}
ClientTls::~ClientTls() = default;

Result<std::unique_ptr<ClientTls>> ClientTls::create(bool verify) {
  auto state = std::make_unique<State>();
  state->verify = verify;
  state->context = SSL_CTX_new(TLS_client_method());
  if (state->context == nullptr) return Error{Code::kInternal, "TLS: OpenSSL gave no context"};
  SSL_CTX_set_min_proto_version(state->context, TLS1_2_VERSION);
  SSL_CTX_set_mode(state->context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (verify) {
    if (SSL_CTX_set_default_verify_paths(state->context) != 1)
      return Error{Code::kInternal, "TLS: the system's certificate store cannot be read"};
    SSL_CTX_set_verify(state->context, SSL_VERIFY_PEER, nullptr);
  }
  return std::unique_ptr<ClientTls>(new ClientTls(std::move(state)));
}

ClientStream::~ClientStream() { close(); }

void ClientStream::close() {
  if (ssl_ != nullptr) SSL_free(as_ssl(ssl_));
  ssl_ = nullptr;
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  connected_ = established_ = false;
}

Status ClientStream::open(const Endpoint& endpoint, ClientTls* tls, const std::string& host) {
  close();
  failure_.clear();
  fd_ = socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return Error{Code::kUnavailable, concat("socket: ", error_text(errno))};
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (tls != nullptr) {
    SSL* ssl = SSL_new(tls->state().context);
    ssl_ = ssl;
    if (ssl == nullptr || SSL_set_fd(ssl, fd_) != 1) {
      close();
      return Error{Code::kInternal, "TLS: OpenSSL gave no connection"};
    }
    SSL_set_connect_state(ssl);
    in6_addr ignored;
    const bool is_address = inet_pton(AF_INET, host.c_str(), &ignored) == 1 ||
                            inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
    if (!is_address) SSL_set_tlsext_host_name(ssl, host.c_str());
    if (tls->state().verify) {
      X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
      if (is_address)
        X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str());
      else
        X509_VERIFY_PARAM_set1_host(param, host.c_str(), host.size());
    }
  }
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.length) != 0 &&
      errno != EINPROGRESS) {
    const std::string why = error_text(errno);
    close();
    failure_ = why;
    return Error{Code::kUnavailable, why};
  }
  return {};
}

IoState ClientStream::advance() {
  if (established_) return IoState::kDone;
  if (!connected_) {
    pollfd poll_fd{.fd = fd_, .events = POLLOUT, .revents = 0};
    if (poll(&poll_fd, 1, 0) <= 0) return IoState::kAgain;
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
    if (error != 0) return fail(error_text(error));
    connected_ = true;
  }
  if (ssl_ != nullptr) {
    ERR_clear_error();
    const int result = SSL_do_handshake(as_ssl(ssl_));
    if (result != 1) return tls_state("TLS handshake", result);
  }
  established_ = true;
  return IoState::kDone;
}

IoResult ClientStream::read(std::span<char> into) {
  if (ssl_ == nullptr) {
    for (;;) {
      const ssize_t n = recv(fd_, into.data(), into.size(), 0);
      if (n > 0) return {IoState::kDone, static_cast<size_t>(n)};
      if (n == 0) return {IoState::kClosed, 0};
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return {IoState::kAgain, 0};
      return {fail(error_text(errno)), 0};
    }
  }
  ERR_clear_error();
  const int want = static_cast<int>(std::min<size_t>(into.size(), INT_MAX));
  const int n = SSL_read(as_ssl(ssl_), into.data(), want);
  if (n > 0) return {IoState::kDone, static_cast<size_t>(n)};
  return {tls_state("TLS read", n), 0};
}

IoResult ClientStream::write(std::span<const iovec> parts) {
  if (ssl_ == nullptr) {
    for (;;) {
      ssize_t n;
      if (parts.size() == 1) {
        n = send(fd_, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL);
      } else {
        msghdr message{};
        message.msg_iov = const_cast<iovec*>(parts.data());
        message.msg_iovlen = parts.size();
        n = sendmsg(fd_, &message, MSG_NOSIGNAL);
      }
      if (n >= 0) return {IoState::kDone, static_cast<size_t>(n)};
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return {IoState::kAgain, 0};
      return {fail(error_text(errno)), 0};
    }
  }
  size_t total = 0;
  for (const iovec& part : parts) {
    size_t offset = 0;
    while (offset < part.iov_len) {
      ERR_clear_error();
      const int want = static_cast<int>(std::min<size_t>(part.iov_len - offset, INT_MAX));
      const int n = SSL_write(as_ssl(ssl_), static_cast<const char*>(part.iov_base) + offset, want);
      if (n <= 0) {
        const IoState state = tls_state("TLS write", n);
        if (state == IoState::kAgain && total > 0) return {IoState::kDone, total};
        return {state, total};
      }
      offset += static_cast<size_t>(n);
      total += static_cast<size_t>(n);
    }
  }
  return {IoState::kDone, total};
}

IoState ClientStream::fail(std::string why) {
  failure_ = std::move(why);
  return IoState::kFailed;
}

IoState ClientStream::tls_state(const char* step, int result) {
  const int code = SSL_get_error(as_ssl(ssl_), result);
  switch (code) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return IoState::kAgain;
    case SSL_ERROR_ZERO_RETURN:
      return IoState::kClosed;
    case SSL_ERROR_SYSCALL:
      if (ERR_peek_error() == 0)
        return fail(concat(step, ": ", errno == 0 ? "connection closed" : error_text(errno)));
      break;
    default:
      break;
  }
  const unsigned long reason = ERR_peek_last_error();
  // The peer closing without close_notify is an ordinary end for servers of this world.
  if (ERR_GET_REASON(reason) == SSL_R_UNEXPECTED_EOF_WHILE_READING && established_)
    return IoState::kClosed;
  std::string why = concat(
      step, ": ", ERR_reason_error_string(reason) ? ERR_reason_error_string(reason) : "failed");
  const long verify = SSL_get_verify_result(as_ssl(ssl_));
  if (verify != X509_V_OK && !established_)
    why += concat(" (", X509_verify_cert_error_string(verify), ")");
  return fail(std::move(why));
}

}  // namespace sis::net
