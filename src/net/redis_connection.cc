#include "net/redis_connection.h"

#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "base/thread_team.h"

namespace sis::net {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr int kReadsMax = 16;  // in a row, so that one connection does not starve the others
constexpr Duration kResolveLook = std::chrono::milliseconds(5);

// The error's kind ("WRONGPASS"): Redis may repeat a command's arguments in the rest.
std::string_view first_word(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && end < 20 && text[end] >= 'A' && text[end] <= 'Z') ++end;
  return end == 0 ? "an error" : text.substr(0, end);
}

}  // namespace

// Addresses of a host. Resolving may take many seconds and cannot be broken off, so it has a thread
// of its own that nobody waits for.
struct RedisConnection::Lookup {
  struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
    int family = 0;
  };

  void run(const std::string& host, uint16_t port, int flags) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* list = nullptr;
    if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list) == 0) {
      for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
        Address address{.storage = {}, .size = one->ai_addrlen, .family = one->ai_family};
        std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
        addresses.push_back(address);
      }
      freeaddrinfo(list);
    }
    done.store(true, std::memory_order_release);
  }

  std::vector<Address> addresses;  // to be read once `done`
  std::atomic<bool> done{false};
};

std::string redis_command_bytes(const std::vector<std::string>& words) {
  std::vector<const char*> starts;
  std::vector<size_t> sizes;
  for (const auto& word : words) {
    starts.push_back(word.data());
    sizes.push_back(word.size());
  }
  char* bytes = nullptr;
  const int size =
      redisFormatCommandArgv(&bytes, static_cast<int>(words.size()), starts.data(), sizes.data());
  SIS_CHECK(size >= 0, "no memory for a Redis command of ", words.size(), " words");
  std::string out(bytes, static_cast<size_t>(size));
  redisFreeCommand(bytes);
  return out;
}

RedisConnection::RedisConnection(const Place& place, uint64_t seed)
    : place_(place), rng_(seed), scratch_(kReadBytes) {}

RedisConnection::~RedisConnection() { drop_socket(); }

void RedisConnection::drop_socket() {
  if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

bool RedisConnection::usable(TimePoint now) const {
  return state_ == State::kReady && (pending_.empty() || pending_.front().deadline > now);
}

short RedisConnection::events() const {
  if (state_ == State::kConnecting) return POLLOUT;
  return static_cast<short>(POLLIN | (out_sent_ < out_.size() ? POLLOUT : 0));
}

TimePoint RedisConnection::wake_at(TimePoint now) const {
  switch (state_) {
    case State::kResolving:
      return std::min(state_until_, now + kResolveLook);
    case State::kResting:
    case State::kConnecting:
    case State::kGreeting:
      return state_until_;
    case State::kReady:
      break;
  }
  if (pending_.empty()) return TimePoint::max();
  return std::min(next_deadline_, pending_.front().deadline + place_.options.stall_timeout);
}

void RedisConnection::on_time(TimePoint now) {
  switch (state_) {
    case State::kResting:
      return now >= state_until_ ? begin(now) : void();
    case State::kResolving:
      if (lookup_->done.load(std::memory_order_acquire)) return connect_next(now);
      if (now >= state_until_) close("the host's name is not resolved in time", now);
      return;
    case State::kConnecting:
      if (now < state_until_) return;
      if (next_address_ < lookup_->addresses.size()) return connect_next(now);
      return close("no connection in time", now);
    case State::kGreeting:
      if (now >= state_until_) close("no greeting in time", now);
      return;
    case State::kReady:
      return expire(now);
  }
}

void RedisConnection::begin(TimePoint now) {
  state_until_ = now + place_.options.greet_timeout;
  state_ = State::kResolving;
  const RedisUrl& url = place_.url;
  // A look-up that is still under way from the attempt before is as good as a new one.
  if (!lookup_ || lookup_->done.load(std::memory_order_acquire)) {
    next_address_ = 0;
    lookup_ = std::make_shared<Lookup>();
    lookup_->run(url.host, url.port, AI_NUMERICHOST);
    if (lookup_->addresses.empty()) {
      lookup_ = std::make_shared<Lookup>();
      std::thread([lookup = lookup_, host = url.host, port = url.port] {
        name_this_thread("sis-redis-dns");
        lookup->run(host, port, 0);
      }).detach();
    }
  }
  if (lookup_->done.load(std::memory_order_acquire)) connect_next(now);
}

void RedisConnection::connect_next(TimePoint now) {
  const auto& addresses = lookup_->addresses;
  if (addresses.empty()) return close("the host's name has no address", now);
  int fault = 0;
  state_until_ = now + place_.options.greet_timeout;
  while (next_address_ < addresses.size()) {
    const auto& address = addresses[next_address_++];
    drop_socket();
    socket_ = ::socket(address.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) {
      fault = errno;
      continue;
    }
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(socket_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    state_ = State::kConnecting;
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0)
      return greet(now);
    if (errno == EINPROGRESS) return;
    fault = errno;
  }
  close(concat("cannot connect: ", std::strerror(fault)), now);
}

void RedisConnection::greet(TimePoint now) {
  const RedisUrl& url = place_.url;
  state_ = State::kGreeting;
  reader_ = std::make_unique<RedisReader>(place_.options.reply_bytes_max);
  greeting_ = {"PING"};
  out_.clear();
  out_sent_ = 0;
  if (!url.password.empty()) {
    std::vector<std::string> words = {"AUTH"};
    if (!url.user.empty()) words.push_back(url.user);
    words.push_back(url.password);
    out_ += redis_command_bytes(words);
    greeting_.push_back("AUTH");
  }
  if (url.db != 0) {
    out_ += redis_command_bytes({"SELECT", std::to_string(url.db)});
    greeting_.insert(greeting_.begin() + 1, "SELECT");
  }
  out_ += redis_command_bytes({"PING"});
  flush(now);
}

void RedisConnection::on_greeting(const RedisReply& reply, TimePoint now) {
  if (greeting_.empty()) return close("Redis sent what nobody asked for", now);
  const std::string word = std::move(greeting_.back());
  greeting_.pop_back();
  if (reply.kind == RedisReply::Kind::kError)
    return close(concat("Redis refused ", word, ": ", first_word(reply.text)), now);
  if (reply.kind != RedisReply::Kind::kStatus || reply.text != (word == "PING" ? "PONG" : "OK"))
    return close(concat("what listens there does not greet like Redis (", word, ")"), now);
  if (!greeting_.empty()) return;
  state_ = State::kReady;
  next_deadline_ = TimePoint::max();
  ++place_.counts.connects;
}

void RedisConnection::send(RedisCall call) {
  out_ += call.bytes;
  next_deadline_ = std::min(next_deadline_, call.deadline);
  pending_.push_back({.done = std::move(call.done),
                      .with_source = std::move(call.with_source),
                      .deadline = call.deadline,
                      .bytes = call.bytes.size()});
}

void RedisConnection::release(const Pending& call) {
  --place_.counts.calls_open;
  place_.counts.bytes_open -= call.bytes;
}

void RedisConnection::on_reply(RedisReply reply, TimePoint now) {
  if (pending_.empty()) return close("Redis sent what nobody asked for", now);
  Pending call = std::move(pending_.front());
  pending_.pop_front();
  pause_ = Duration::zero();  // not at the greeting: what only greets is not to be called at once
  if (reply.kind != RedisReply::Kind::kError) {
    release(call);
    if (call.done) place_.ended.push_back({std::move(call.done), std::move(reply)});
    return;
  }
  if (call.done && call.with_source && reply.text.starts_with("NOSCRIPT")) {
    RedisCall again{.bytes = call.with_source(),
                    .deadline = call.deadline,
                    .done = std::move(call.done),
                    .with_source = nullptr};
    place_.counts.bytes_open += again.bytes.size() - call.bytes;
    return send(std::move(again));
  }
  release(call);
  ++place_.counts.errors;
  if (call.done)
    place_.ended.push_back({std::move(call.done),
                            Error{Code::kInternal, concat("Redis: ", in_quotes(reply.text, 120))}});
}

void RedisConnection::expire(TimePoint now) {
  if (pending_.empty()) return;
  if (now >= pending_.front().deadline + place_.options.stall_timeout)
    return close("Redis does not answer", now);
  if (now < next_deadline_) return;
  next_deadline_ = TimePoint::max();
  for (Pending& call : pending_) {
    if (!call.done) continue;
    if (call.deadline > now) {
      next_deadline_ = std::min(next_deadline_, call.deadline);
      continue;
    }
    ++place_.counts.timeouts;
    place_.ended.push_back({std::exchange(call.done, nullptr),
                            Error{Code::kDeadline, "Redis did not answer in time"}});
  }
}

void RedisConnection::close(std::string reason, TimePoint now) {
  drop_socket();
  reason_ = std::move(reason);
  out_.clear();
  out_sent_ = 0;
  for (Pending& call : pending_) {
    release(call);
    if (call.done)
      place_.ended.push_back(
          {std::move(call.done), Error{Code::kUnavailable, concat("Redis: ", reason_)}});
  }
  pending_.clear();
  state_ = State::kResting;
  pause_ = std::clamp(2 * pause_, place_.options.retry_least, place_.options.retry_most);
  state_until_ = now + std::chrono::duration_cast<Duration>(pause_ * (0.5 + 0.5 * rng_.uniform()));
}

void RedisConnection::on_events(short events, TimePoint now) {
  if (state_ == State::kConnecting) {
    int fault = 0;
    socklen_t size = sizeof fault;
    getsockopt(socket_, SOL_SOCKET, SO_ERROR, &fault, &size);
    if (fault == 0) return greet(now);
    if (next_address_ < lookup_->addresses.size()) return connect_next(now);
    return close(concat("cannot connect: ", std::strerror(fault)), now);
  }
  if (events & (POLLIN | POLLERR | POLLHUP)) read(now);
  if (socket_ >= 0 && events & POLLOUT) flush(now);
}

void RedisConnection::flush(TimePoint now) {
  if (state_ != State::kGreeting && state_ != State::kReady) return;
  while (out_sent_ < out_.size()) {
    const ssize_t sent =
        ::send(socket_, out_.data() + out_sent_, out_.size() - out_sent_, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK)
        return close(concat("the connection broke: ", std::strerror(errno)), now);
      // What is sent goes once it is half of the buffer, so that each byte moves about once.
      if (out_sent_ > out_.size() / 2) out_.erase(0, std::exchange(out_sent_, 0));
      return;
    }
    out_sent_ += static_cast<size_t>(sent);
  }
  out_.clear();
  out_sent_ = 0;
}

void RedisConnection::read(TimePoint now) {
  std::vector<RedisReply> replies;
  for (int i = 0; i < kReadsMax; ++i) {
    const ssize_t got = ::recv(socket_, scratch_.data(), scratch_.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (got < 0) return close(concat("the connection broke: ", std::strerror(errno)), now);
    if (got == 0) return close("Redis closed the connection", now);
    replies.clear();
    const Status fed = reader_->feed({scratch_.data(), static_cast<size_t>(got)}, replies);
    for (RedisReply& reply : replies) {
      if (state_ == State::kGreeting)
        on_greeting(reply, now);
      else
        on_reply(std::move(reply), now);
      if (socket_ < 0) return;
    }
    if (!fed.ok()) return close(fed.error().message, now);
    if (static_cast<size_t>(got) < scratch_.size()) return;
  }
}

}  // namespace sis::net
