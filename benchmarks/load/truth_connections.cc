#include "truth_connections.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/strings.h"
#include "truth_answers.h"

namespace sis::truth {
namespace {

constexpr int kEventsMax = 64;
constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kSitesMax = 4096;
constexpr Duration kSpinBefore = std::chrono::microseconds(50);

TimePoint clock_now() { return std::chrono::steady_clock::now(); }

}  // namespace

Result<std::unique_ptr<Server>> Server::create(const ServerOptions& options) {
  std::unique_ptr<Server> server(new Server(options));
  SIS_TRY(server->listen());
  server->buffer_.resize(kReadBytes);
  return server;
}

Server::~Server() {
  for (auto& connection : connections_)
    if (connection && connection->fd >= 0) ::close(connection->fd);
  if (listener_ >= 0) ::close(listener_);
  if (epoll_ >= 0) ::close(epoll_);
}

Status Server::listen() {
  const auto failed = [](const char* what) {
    return Error{Code::kUnavailable, concat(what, ": ", std::strerror(errno))};
  };
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (epoll_ < 0 || listener_ < 0) return failed("socket");
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return failed("bind");
  if (::listen(listener_, 4096) != 0) return failed("listen");
  socklen_t length = sizeof address;
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
  port_ = ntohs(address.sin_port);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = listener_;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event) != 0) return failed("epoll");
  return {};
}

void Server::run(const volatile std::sig_atomic_t& stop) {
  std::array<epoll_event, kEventsMax> events;
  while (stop == 0) {
    TimePoint now = clock_now();
    while (!timers_.empty() && timers_.top().at <= now) {
      const Timer timer = timers_.top();
      timers_.pop();
      Connection& connection = *connections_[static_cast<size_t>(timer.fd)];
      if (connection.busy && connection.generation == timer.generation) play(connection, now);
      now = clock_now();
    }
    const int64_t wait_ns = std::chrono::nanoseconds(wait_until_next(now)).count();
    const timespec wait{.tv_sec = wait_ns / 1'000'000'000, .tv_nsec = wait_ns % 1'000'000'000};
    const int n = epoll_pwait2(epoll_, events.data(), kEventsMax, &wait, nullptr);
    const TimePoint polled = clock_now();
    for (int i = 0; i < n; ++i) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      if (event.data.fd == listener_) {
        accept_all();
        continue;
      }
      Connection& connection = *connections_[static_cast<size_t>(event.data.fd)];
      if ((event.events & EPOLLOUT) && !connection.out.empty()) {
        std::string rest;
        rest.swap(connection.out);
        if (!write(connection, rest)) continue;
      }
      if (event.events & ~static_cast<uint32_t>(EPOLLOUT))
        read(connection, polled, (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    }
  }
}

Duration Server::wait_until_next(TimePoint now) const {
  if (options_.spin) return {};
  if (timers_.empty()) return std::chrono::milliseconds(100);
  const Duration left = timers_.top().at - now;
  return left <= kSpinBefore
             ? Duration{}
             : std::min<Duration>(left - kSpinBefore, std::chrono::milliseconds(100));
}

void Server::accept_all() {
  for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options_.kernel_times) setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    const auto slot = static_cast<size_t>(fd);
    if (connections_.size() <= slot) connections_.resize(slot + 1);
    if (!connections_[slot]) connections_[slot] = std::make_unique<Connection>();
    connections_[slot]->fd = fd;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.fd = fd;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }
}

ssize_t Server::receive(int fd, TimePoint& arrived) {
  if (!options_.kernel_times) return recv(fd, buffer_.data(), buffer_.size(), 0);
  iovec into{.iov_base = buffer_.data(), .iov_len = buffer_.size()};
  alignas(cmsghdr) std::array<char, 256> control;
  msghdr message{};
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = recvmsg(fd, &message, 0);
  if (got <= 0) return got;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec stamp{}, wall{};
    std::memcpy(&stamp, CMSG_DATA(part), sizeof stamp);
    // The kernel stamps by the wall clock; only how long ago that was counts.
    clock_gettime(CLOCK_REALTIME, &wall);
    const TimePoint now = clock_now();
    const auto ago = std::chrono::seconds(wall.tv_sec - stamp.tv_sec) +
                     std::chrono::nanoseconds(wall.tv_nsec - stamp.tv_nsec);
    arrived = std::min(now, now - ago);
  }
  return got;
}

void Server::read(Connection& connection, TimePoint polled, bool ended) {
  while (connection.fd >= 0) {
    TimePoint now = polled;
    const ssize_t got = receive(connection.fd, now);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      if (connection.busy) connection.site->behaviour.note_client_gone();
      close(connection);
      return;
    }
    std::string_view bytes(buffer_.data(), static_cast<size_t>(got));
    const bool drained = bytes.size() < buffer_.size();
    // Requests are taken from where they were received; only what is not whole is kept.
    if (connection.in.empty() && !connection.busy) {
      while (connection.fd >= 0 && !connection.busy) {
        const size_t taken = take(connection, bytes, now);
        if (taken == 0) break;
        bytes.remove_prefix(taken);
      }
    }
    if (connection.fd < 0) return;
    connection.in.append(bytes);
    if (connection.in.size() > static_cast<size_t>(kBodyBytesMax) + kHeadBytesMax) {
      close(connection);
      return;
    }
    take_kept(connection, now);
    if (drained && !ended) return;  // the next bytes, or the end, raise a new edge
  }
}

// Taken out first: an answer that is sent at once looks for the next request itself.
void Server::take_kept(Connection& connection, TimePoint now) {
  while (!connection.busy && connection.fd >= 0 && !connection.in.empty()) {
    std::string bytes;
    bytes.swap(connection.in);
    const size_t taken = take(connection, bytes, now);
    if (connection.fd < 0) return;
    connection.in.insert(0, std::string_view(bytes).substr(taken));
    if (taken == 0) return;
  }
}

size_t Server::take(Connection& connection, std::string_view bytes, TimePoint now) {
  const Request request = parse_request(bytes);
  if (!request.good) {
    connection.close_after = true;
    reply(connection, 400, "text/plain",
          "want a head of up to 64 kB and a Content-Length of up to 64 MB\n");
    return bytes.size();
  }
  if (request.bytes == 0 || bytes.size() < request.bytes) return 0;
  connection.close_after = request.close;
  start(connection, request, now);
  return request.bytes;
}

void Server::start(Connection& connection, const Request& request, TimePoint now) {
  if (request.target == "/") {
    // The benchmark's path: one write of fixed bytes.
    ++served_;
    if (!write(connection, request.keep_alive ? kTrivialKeepAlive : kTrivial)) return;
    if (connection.close_after) close(connection);
    return;
  }
  const std::string_view path = request.target.substr(1);
  std::string_view segment = path.substr(0, path.find('/'));
  if (segment == "served") {
    reply(connection, 200, "text/plain", std::to_string(served_));
    return;
  }
  if (segment == "log") {
    std::string_view of = path.substr(std::min<size_t>(path.size(), 4));
    of = of.substr(0, of.find('/'));
    const auto found = sites_.find(of);
    if (found == sites_.end())
      reply(connection, 404, "text/plain", concat("no request came for ", in_quotes(of), "\n"));
    else
      reply(connection, 200, "application/json", found->second->behaviour.log_json());
    return;
  }
  if (connection.site == nullptr || connection.segment != segment) {
    const auto site = find_site(segment);
    if (!site.ok()) {
      reply(connection, 400, "text/plain", site.error().message + "\n");
      return;
    }
    connection.site = *site;
    connection.segment = segment;
  }
  Behaviour& behaviour = connection.site->behaviour;
  connection.plan = behaviour.plan(now);
  connection.record = {.received = now, .planned = connection.plan.first};
  connection.busy = true;
  ++connection.generation;
  connection.piece = 0;
  connection.due = connection.plan.first;
  if (!connection.plan.answer) {
    if (behaviour.spec().kind == Kind::kDrop) close(connection);
    return;  // `never` waits until the client leaves
  }
  if (behaviour.spec().kind == Kind::kSse && !write(connection, sse_start())) return;
  play(connection, now);
}

// Sends what is due and sets the timer for what is not.
void Server::play(Connection& connection, TimePoint now) {
  while (connection.busy && connection.due <= now) {
    send_piece(connection);
    now = clock_now();
  }
  if (connection.busy) timers_.push({connection.due, connection.fd, connection.generation});
  if (connection.busy || connection.fd < 0) return;
  if (connection.close_after) {
    close(connection);
    return;
  }
  take_kept(connection, now);
}

void Server::send_piece(Connection& connection) {
  Site& site = *connection.site;
  const Spec& spec = site.behaviour.spec();
  if (connection.plan.broken) {
    break_off(connection);
    return;
  }
  const int pieces = site.behaviour.pieces(), piece = connection.piece++;
  const bool last = connection.piece == pieces;
  std::string bytes;
  if (spec.kind == Kind::kSse) {
    bytes = sse_piece(piece);
    if (last) bytes += sse_end(pieces);
  } else {
    if (piece == 0) bytes = head(connection.plan.status, "text/plain", site.body.size());
    const size_t size = site.body.size(), n = static_cast<size_t>(pieces),
                 i = static_cast<size_t>(piece);
    bytes += std::string_view(site.body).substr(size * i / n, size * (i + 1) / n - size * i / n);
  }
  Record& record = connection.record;
  const TimePoint sent = clock_now();
  if (piece == 0)
    record.first = sent;
  else
    site.behaviour.note_gap(sent - record.last);
  record.last = sent;
  if (!write(connection, bytes)) return;
  if (last) {
    connection.busy = false;
    site.behaviour.note(record);
  } else {
    connection.due += site.behaviour.next_gap();
  }
}

void Server::break_off(Connection& connection) {
  const Site& site = *connection.site;
  const std::string_view body = site.body;
  const std::string start = head(200, "text/plain", body.size());
  const bool reset = site.behaviour.spec().kind == Kind::kReset;
  if (!write(connection, concat(start, body.substr(0, body.size() / 2)))) return;
  if (reset) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(connection.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  close(connection);
}

void Server::reply(Connection& connection, int status, std::string_view type,
                   std::string_view body) {
  if (!write(connection, concat(head(status, type, body.size()), body))) return;
  if (connection.close_after) close(connection);
}

// False when the connection was lost.
bool Server::write(Connection& connection, std::string_view bytes) {
  if (connection.out.empty()) {
    const ssize_t sent = send(connection.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent == static_cast<ssize_t>(bytes.size())) return true;
    if (sent < 0 && errno != EAGAIN) {
      if (connection.busy) connection.site->behaviour.note_client_gone();
      close(connection);
      return false;
    }
    if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
  }
  connection.out.append(bytes);
  return true;
}

void Server::close(Connection& connection) {
  ::close(connection.fd);  // also leaves the epoll set
  connection.fd = -1;
  connection.busy = connection.close_after = false;
  ++connection.generation;
  connection.in.clear();
  connection.out.clear();
}

Result<Server::Site*> Server::find_site(std::string_view segment) {
  const auto found = sites_.find(segment);
  if (found != sites_.end()) return found->second.get();
  if (sites_.size() >= kSitesMax)
    return Error{Code::kOverloaded, concat("want at most ", kSitesMax, " different segments")};
  SIS_ASSIGN(const Spec spec, parse_spec(segment));
  return sites_.emplace(segment, std::make_unique<Site>(spec)).first->second.get();
}

std::string Server::Site::body_of(const Spec& spec) {
  const auto pieces = static_cast<size_t>(spec.kind == Kind::kTrickle ? spec.pieces : 1);
  return std::string(std::max(spec.body_bytes, pieces), 'x');
}

}  // namespace sis::truth
