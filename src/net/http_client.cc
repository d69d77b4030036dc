#include "net/http_client.h"

#include <arpa/inet.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <future>
#include <thread>

#include "base/strings.h"
#include "base/thread_team.h"
#include "net/http_client_parser.h"

namespace sis::net {
namespace {

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') ||
           static_cast<unsigned char>(c) == 0x7F;
  });
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c > 0x20 && c < 0x7F && std::strchr("()<>@,;:\\\"/[]?={}", c) == nullptr;
  });
}

// False when the deadline passed first.
bool wait_ready(int fd, short events, TimePoint deadline) {
  for (;;) {
    const double left_ms = to_ms(deadline - std::chrono::steady_clock::now());
    if (left_ms <= 0) return false;
    pollfd poll_fd{.fd = fd, .events = events, .revents = 0};
    const int n = poll(&poll_fd, 1, static_cast<int>(std::min(left_ms + 1, 1e6)));
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return false;
  }
}

Error timed_out(const Url& url, Duration timeout) {
  return Error{Code::kDeadline,
               concat(url.text(), ": no answer within ", to_seconds(timeout), " s")};
}

Status connect_to(ClientStream& stream, const Url& url, const Endpoint& endpoint, ClientTls* tls,
                  TimePoint deadline, std::string_view time_text) {
  const auto failed = [&](Code code, std::string_view why) {
    return Error{code,
                 concat("cannot connect to ", url.authority(), " (", endpoint.text(), "): ", why)};
  };
  if (auto status = stream.open(endpoint, tls, url.host); !status.ok())
    return failed(Code::kUnavailable, status.error().message);
  for (;;) {
    switch (stream.advance()) {
      case IoState::kDone:
        return {};
      case IoState::kAgain:
        // During a handshake either direction may be wanted; POLLOUT alone would spin.
        if (!wait_ready(stream.fd(), stream.connected() ? POLLIN : POLLOUT, deadline))
          return failed(Code::kDeadline, concat("no answer within ", time_text));
        break;
      case IoState::kClosed:
        return failed(Code::kUnavailable, "connection closed");
      case IoState::kFailed:
        return failed(Code::kUnavailable, stream.failure());
    }
  }
}

// An address that does not answer gets its share of the time and leaves the rest to the others.
Result<Endpoint> connect_any(ClientStream& stream, const Url& url,
                             std::span<const Endpoint> endpoints, ClientTls* tls,
                             TimePoint deadline, Duration timeout) {
  const std::string time_text =
      concat(endpoints.size() > 1 ? "its share of " : "", to_seconds(timeout), " s");
  Error first;
  for (size_t i = 0; i < endpoints.size(); ++i) {
    const TimePoint now = std::chrono::steady_clock::now();
    const auto share = (deadline - now) / static_cast<int64_t>(endpoints.size() - i);
    Status status = connect_to(stream, url, endpoints[i], tls, now + share, time_text);
    if (status.ok()) return endpoints[i];
    if (first.message.empty()) first = status.error();
    // Of ::1 and 127.0.0.1 usually one listens; the reason of the last says more only when all fail
    // alike.
  }
  return first;
}

// Looking a name up may take many seconds and cannot be broken off, so it has a thread of its own,
// which nobody waits for once the deadline has passed.
Result<std::vector<Endpoint>> resolve_by(const Url& url, TimePoint deadline, Duration timeout) {
  in6_addr ignored;
  if (inet_pton(AF_INET, url.host.c_str(), &ignored) == 1 ||
      inet_pton(AF_INET6, url.host.c_str(), &ignored) == 1)
    return resolve(url);
  auto found = std::make_shared<std::promise<Result<std::vector<Endpoint>>>>();
  auto answer = found->get_future();
  std::thread([found, url] {
    name_this_thread("sis-dns");
    found->set_value(resolve(url));
  }).detach();
  if (answer.wait_until(deadline) == std::future_status::ready) return answer.get();
  return Error{Code::kDeadline, concat("host ", in_quotes(url.host), ": no address within ",
                                       to_seconds(timeout), " s")};
}

Result<Endpoint> connect_by(ClientStream& stream, const Url& url, ClientTls* tls,
                            TimePoint deadline, Duration timeout) {
  SIS_ASSIGN(const std::vector<Endpoint> endpoints, resolve_by(url, deadline, timeout));
  return connect_any(stream, url, endpoints, tls, deadline, timeout);
}

}  // namespace

Result<std::string> request_bytes(const Url& url, const FetchRequest& request) {
  const std::string& target = request.target.empty() ? url.target : request.target;
  if (!is_token(request.method))
    return Error{Code::kInvalidArgument,
                 concat("method ", in_quotes(request.method), ": want a word like GET")};
  if (has_control(target) || target.find(' ') != std::string::npos)
    return Error{Code::kInvalidArgument,
                 concat("path ", in_quotes(target), ": want no blanks or control bytes")};
  std::string out = concat(request.method, " ", target.empty() ? "/" : target, " HTTP/1.1\r\n");
  const auto named = [&](std::string_view name) {
    return std::any_of(request.headers.begin(), request.headers.end(),
                       [&](const auto& header) { return iequals(header.first, name); });
  };
  if (!named("Host")) out += concat("Host: ", url.authority(), "\r\n");
  for (const auto& [name, value] : request.headers) {
    if (!is_token(name) || has_control(value))
      return Error{Code::kInvalidArgument,
                   concat("header ", in_quotes(concat(name, ": ", value)), ": want 'Name: value'")};
    if (iequals(name, "Content-Length") || iequals(name, "Transfer-Encoding"))
      return Error{Code::kInvalidArgument, concat("header ", name, ": is set from the body")};
    out += concat(name, ": ", value, "\r\n");
  }
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
      request.method == "PATCH")
    out += concat("Content-Length: ", request.body.size(), "\r\n");
  out += "\r\n";
  out += request.body;
  return out;
}

Result<Endpoint> find_endpoint(const Url& url, ClientTls* tls, Duration timeout) {
  ClientStream stream;
  return connect_by(stream, url, tls, std::chrono::steady_clock::now() + timeout, timeout);
}

Result<Endpoint> find_endpoint(const Url& url, std::span<const Endpoint> endpoints, ClientTls* tls,
                               Duration timeout) {
  ClientStream stream;
  return connect_any(stream, url, endpoints, tls, std::chrono::steady_clock::now() + timeout,
                     timeout);
}

Result<FetchResponse> fetch(const Url& url, const FetchRequest& request) {
  const TimePoint deadline = std::chrono::steady_clock::now() + request.timeout;
  FetchRequest once = request;
  once.headers.emplace_back("Connection", "close");
  SIS_ASSIGN(const std::string bytes, request_bytes(url, once));

  std::unique_ptr<ClientTls> tls;
  if (url.tls) {
    SIS_ASSIGN(tls, ClientTls::create(request.verify_tls));
  }
  ClientStream stream;
  SIS_TRY(connect_by(stream, url, tls.get(), deadline, request.timeout));

  const auto failed = [&](std::string_view why) {
    return Error{Code::kUnavailable, concat(url.authority(), ": ", why)};
  };
  for (size_t sent = 0; sent < bytes.size();) {
    const iovec part{const_cast<char*>(bytes.data()) + sent, bytes.size() - sent};
    const IoResult io = stream.write({&part, 1});
    if (io.state == IoState::kFailed || io.state == IoState::kClosed)
      return failed(stream.failure());
    sent += io.bytes;
    if (io.state == IoState::kAgain && !wait_ready(stream.fd(), POLLOUT, deadline))
      return timed_out(url, request.timeout);
  }

  HttpResponseParser parser({.body_bytes_max = request.body_bytes_max});
  parser.begin({.head_request = request.method == "HEAD"});
  FetchResponse response;
  std::array<char, 16 << 10> buffer;
  while (!parser.done()) {
    const IoResult io = stream.read(buffer);
    if (io.state == IoState::kAgain) {
      if (!wait_ready(stream.fd(), POLLIN, deadline)) return timed_out(url, request.timeout);
      continue;
    }
    if (io.state == IoState::kFailed) return failed(stream.failure());
    if (io.state == IoState::kClosed) {
      if (Status status = parser.finish_at_close(); !status.ok())
        return failed(status.error().message);
      break;
    }
    std::string_view rest(buffer.data(), io.bytes);
    while (!rest.empty() && !parser.done()) {
      auto step = parser.feed(rest);
      if (!step.ok()) return failed(step.error().message);
      response.body.append(step->body);
      rest.remove_prefix(step->consumed);
    }
    // A trickle of bytes must not outlive the deadline either.
    if (std::chrono::steady_clock::now() >= deadline && !parser.done())
      return timed_out(url, request.timeout);
  }
  response.status = parser.status();
  return response;
}

}  // namespace sis::net
