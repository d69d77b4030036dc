// One I/O thread of the server: an event loop, the connections that live on it, and its mailbox.
//
// A connection never changes its thread, so nothing here is locked except the mailbox, through
// which other threads hand over answers and new connections. Deadlines are not timers: a sweep a
// few times a second looks at one time per connection. Private to the server.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "net/http_session.h"
#include "net/tls.h"

namespace sis::net {

class Connection;
class IoLoop;

// Answers and calls from other threads. Lives until the last exchange is gone; the loop may end
// before.
class Mailbox final : public AnswerSink {
 public:
  Mailbox(std::shared_ptr<const ServerOptions> options, std::shared_ptr<BodyBudget> bodies,
          IoLoop* loop)
      : AnswerSink(std::move(options), std::move(bodies)), loop_(loop) {}
  void deliver(Answer answer) override;
  bool on_loop() const {
    return owner_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }

 private:
  friend class IoLoop;
  std::atomic<std::thread::id> owner_{};
  std::mutex mutex_;
  IoLoop* loop_;  // guarded by mutex_ for other threads; null once the loop has ended
  bool scheduled_ = false;
  std::vector<Answer> queue_;
};

class IoLoop {
 public:
  IoLoop(std::shared_ptr<const ServerOptions> options, std::shared_ptr<BodyBudget> bodies,
         const Handler* handler, TlsContext* tls, int index);
  ~IoLoop();

  // ---- any thread
  boost::asio::io_context& io() { return io_; }
  void start();
  void post(std::function<void()> call);
  void stop_and_join();  // closes every connection first
  int64_t connections_open() const { return connections_open_.load(std::memory_order_relaxed); }
  int64_t active() const { return active_.load(std::memory_order_acquire); }
  const SessionContext& context() const { return context_; }

  // ---- loop thread
  // Takes the socket over; `turn_away`: only to answer 503.
  void adopt(int socket, std::string peer, bool turn_away);
  void begin_drain();
  void deliver(Answer& answer);
  void drain_mailbox();

 private:
  friend class Connection;
  struct Entry {
    TimePoint check_at = TimePoint::max();
    uint32_t generation = 0;
    std::shared_ptr<Connection> connection;
  };

  Connection* find(uint64_t id);
  void forget(uint64_t id);
  void close_all();
  boost::asio::awaitable<void> sweep();

  const ServerOptions& options_;
  TlsContext* tls_;
  const int index_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer sweep_timer_;
  std::shared_ptr<Mailbox> mailbox_;
  SessionContext context_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> free_entries_;
  std::vector<std::shared_ptr<Connection>> touched_;
  std::vector<char> scratch_;  // ciphertext as it is read
  int64_t turned_away_ = 0;
  bool sweeping_ = false, stopping_ = false;
  std::atomic<int64_t> connections_open_{0};
  std::atomic<int64_t> active_{0};  // connections with a request or an answer on the way
  std::thread thread_;
};

}  // namespace sis::net
