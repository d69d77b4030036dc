#include "net/io_loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <random>

#include "base/strings.h"
#include "net/connection.h"

namespace sis::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr int64_t kTurnedAwayMax =
    256;  // clients over the limit that still get their 503, per thread
constexpr size_t kScratchBytes = 64 << 10;

uint64_t random_seed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

// Fine enough for the shortest time limit, coarse enough to cost nothing.
Duration sweep_interval(const ServerOptions& options) {
  const auto shortest = std::min({options.header_timeout, options.idle_timeout,
                                  options.body_gap_timeout, options.write_timeout});
  return std::clamp<Duration>(shortest / 4, std::chrono::milliseconds(10),
                              std::chrono::milliseconds(500));
}

}  // namespace

// ---------------------------------------------------------------- Mailbox

void Mailbox::deliver(Answer answer) {
  if (on_loop()) {
    loop_->deliver(answer);
    return;
  }
  std::function<void()> late;
  {
    const std::lock_guard lock(mutex_);
    if (loop_ != nullptr) {
      queue_.push_back(std::move(answer));
      if (scheduled_) return;
      scheduled_ = true;
      asio::post(loop_->io(), [loop = loop_] { loop->drain_mailbox(); });
      return;
    }
    if (answer.kind == Answer::Kind::kCall) late = std::move(answer.callback);
  }
  if (late) late();  // no loop is left to run it
}

// ---------------------------------------------------------------- IoLoop

IoLoop::IoLoop(std::shared_ptr<const ServerOptions> options, std::shared_ptr<BodyBudget> bodies,
               const Handler* handler, TlsContext* tls, int index)
    : options_(*options),
      tls_(tls),
      index_(index),
      work_(io_.get_executor()),
      sweep_timer_(io_),
      mailbox_(std::make_shared<Mailbox>(options, std::move(bodies), this)),
      context_(mailbox_, handler, random_seed()),
      scratch_(tls ? kScratchBytes : 0) {}

IoLoop::~IoLoop() { stop_and_join(); }

void IoLoop::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), concat("sis-io-", index_).c_str());
    mailbox_->owner_.store(std::this_thread::get_id());
    io_.run();
    mailbox_->owner_.store(std::thread::id());
  });
}

void IoLoop::post(std::function<void()> call) { asio::post(io_, std::move(call)); }

void IoLoop::stop_and_join() {
  if (thread_.joinable()) {
    asio::post(io_, [this] {
      stopping_ = true;
      close_all();
      sweep_timer_.cancel();
      work_.reset();
    });
    thread_.join();
  }
  std::vector<Answer> left;
  {
    const std::lock_guard lock(mailbox_->mutex_);
    mailbox_->loop_ = nullptr;
    left.swap(mailbox_->queue_);
  }
  for (auto& answer : left)
    if (answer.kind == Answer::Kind::kCall && answer.callback) answer.callback();
}

void IoLoop::adopt(int socket, std::string peer, bool turn_away) {
  if (stopping_ || context_.draining || (turn_away && (tls_ || turned_away_ >= kTurnedAwayMax))) {
    ::close(socket);
    return;
  }
  const int one = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  tcp::socket taken(io_);
  boost::system::error_code error;
  taken.assign(tcp::v4(), socket, error);  // the family only matters to open()
  if (!error) taken.non_blocking(true, error);
  if (error) {
    if (!taken.is_open()) ::close(socket);
    return;
  }
  if (free_entries_.empty()) {
    free_entries_.push_back(static_cast<uint32_t>(entries_.size()));
    entries_.emplace_back();
  }
  const uint32_t index = free_entries_.back();
  free_entries_.pop_back();
  Entry& entry = entries_[index];
  const uint64_t id = static_cast<uint64_t>(++entry.generation) << 32 | index;
  const auto now = std::chrono::steady_clock::now();
  const auto connection =
      std::make_shared<Connection>(*this, std::move(taken), id, std::move(peer),
                                   tls_ ? tls_->session() : nullptr, turn_away, now);
  entry.connection = connection;
  entry.check_at = connection->deadline();
  if (turn_away) {
    ++turned_away_;
    connection->turn_away(now);
  } else {
    connections_open_.fetch_add(1, std::memory_order_relaxed);
  }
  asio::co_spawn(io_, Connection::run(connection), asio::detached);
  if (!sweeping_) {
    sweeping_ = true;
    asio::co_spawn(io_, sweep(), asio::detached);
  }
}

Connection* IoLoop::find(uint64_t id) {
  const auto index = static_cast<uint32_t>(id);
  if (index >= entries_.size() || entries_[index].generation != id >> 32) return nullptr;
  return entries_[index].connection.get();
}

void IoLoop::forget(uint64_t id) {
  Entry& entry = entries_[static_cast<uint32_t>(id)];
  if (entry.connection->turned_away())
    --turned_away_;
  else
    connections_open_.fetch_sub(1, std::memory_order_relaxed);
  entry.connection.reset();
  entry.check_at = TimePoint::max();
  free_entries_.push_back(static_cast<uint32_t>(id));
}

void IoLoop::deliver(Answer& answer) {
  if (answer.kind == Answer::Kind::kCall) {
    if (answer.callback) answer.callback();
    return;
  }
  Connection* found = find(answer.connection);
  if (found == nullptr) return;
  const auto connection = found->shared_from_this();
  const auto now = std::chrono::steady_clock::now();
  connection->handle(answer, now);
  connection->settle(now);
}

// All answers that wait, then one write per connection they touched.
void IoLoop::drain_mailbox() {
  std::vector<Answer> answers;
  {
    const std::lock_guard lock(mailbox_->mutex_);
    answers.swap(mailbox_->queue_);
    mailbox_->scheduled_ = false;
  }
  const auto now = std::chrono::steady_clock::now();
  for (auto& answer : answers) {
    if (answer.kind == Answer::Kind::kCall) {
      if (answer.callback) answer.callback();
      continue;
    }
    Connection* connection = find(answer.connection);
    if (connection == nullptr) continue;
    connection->handle(answer, now);
    if (connection->touched_) continue;
    connection->touched_ = true;
    touched_.push_back(connection->shared_from_this());
  }
  for (const auto& connection : touched_) {
    connection->touched_ = false;
    connection->settle(now);
  }
  touched_.clear();
}

void IoLoop::begin_drain() {
  context_.draining = true;
  for (size_t i = 0; i < entries_.size(); ++i)
    if (const auto connection = entries_[i].connection; connection && connection->idle())
      connection->close();
}

void IoLoop::close_all() {
  for (size_t i = 0; i < entries_.size(); ++i)
    if (const auto connection = entries_[i].connection) connection->close();
}

asio::awaitable<void> IoLoop::sweep() {
  const auto interval = sweep_interval(options_);
  while (!stopping_ && free_entries_.size() < entries_.size()) {
    sweep_timer_.expires_after(interval);
    co_await sweep_timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    const auto now = std::chrono::steady_clock::now();
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].check_at > now) continue;
      const auto connection = entries_[i].connection;
      // The time noted may be an old, earlier one: deadlines are moved back lazily.
      if (connection->deadline() <= now) connection->expire(now);
      if (entries_[i].connection == connection) entries_[i].check_at = connection->deadline();
    }
  }
  sweeping_ = false;
}

}  // namespace sis::net
