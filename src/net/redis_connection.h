// One connection to Redis: connects, greets, pipelines calls, notices when replies are overdue.
// Private to the Redis client; lives on its thread.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/rng.h"
#include "net/redis_client.h"
#include "net/redis_reply.h"

namespace sis::net {

// A command on its way.
struct RedisCall {
  std::string bytes;  // as Redis reads it
  TimePoint deadline;
  RedisClient::Done done;
  // What to send instead when Redis answers NOSCRIPT; null: that is an error like others.
  std::function<std::string()> with_source;
};

// `words` in Redis' protocol.
std::string redis_command_bytes(const std::vector<std::string>& words);

// What the connections count together. Written on the client's thread, read by any.
struct RedisCounts {
  std::atomic<int64_t> timeouts{0}, errors{0}, connects{0};
  std::atomic<size_t> calls_open{0}, bytes_open{0};  // also of calls not yet with a connection
};

class RedisConnection {
 public:
  // Ended calls go to `ended`, with their outcome, for the client to tell.
  struct Ended {
    RedisClient::Done done;
    Result<RedisReply> reply;
  };
  struct Place {
    const RedisUrl& url;
    const RedisOptions& options;
    RedisCounts& counts;
    std::vector<Ended>& ended;
  };
  RedisConnection(const Place& place, uint64_t seed);
  ~RedisConnection();
  RedisConnection(const RedisConnection&) = delete;

  // Takes calls, and may expect an answer.
  bool usable(TimePoint now) const;
  bool ready() const { return state_ == State::kReady; }
  size_t calls() const { return pending_.size(); }
  // Only while usable; goes out with the next flush().
  void send(RedisCall call);
  void flush(TimePoint now);

  int socket() const { return socket_; }   // -1: none
  short events() const;                    // to poll for
  TimePoint wake_at(TimePoint now) const;  // for on_time()
  void on_events(short events, TimePoint now);
  void on_time(TimePoint now);
  // Ends all its calls with kUnavailable and waits for its next attempt.
  void close(std::string reason, TimePoint now);
  // Why it was closed last.
  const std::string& reason() const { return reason_; }

 private:
  enum class State : uint8_t { kResting, kResolving, kConnecting, kGreeting, kReady };
  struct Pending {
    RedisClient::Done done;  // null: was told kDeadline; the reply is still owed
    std::function<std::string()> with_source;
    TimePoint deadline;
    size_t bytes = 0;
  };
  struct Lookup;

  void begin(TimePoint now);
  void connect_next(TimePoint now);
  void greet(TimePoint now);
  void on_greeting(const RedisReply& reply, TimePoint now);
  void on_reply(RedisReply reply, TimePoint now);
  void expire(TimePoint now);
  void read(TimePoint now);
  void release(const Pending& call);
  void drop_socket();

  const Place place_;
  Rng rng_;
  State state_ = State::kResting;
  int socket_ = -1;
  TimePoint state_until_{};  // kResting: the next attempt; kResolving..kGreeting: given up then
  TimePoint next_deadline_ = TimePoint::max();  // no call ends before
  Duration pause_{};                            // before the next attempt
  std::string reason_;
  std::shared_ptr<Lookup> lookup_;  // shared with the thread that resolves
  size_t next_address_ = 0;
  std::vector<std::string> greeting_;  // what the replies to come answer, first one last
  std::unique_ptr<RedisReader> reader_;
  std::string out_;
  size_t out_sent_ = 0;
  std::deque<Pending> pending_;  // in the order of the replies
  std::vector<char> scratch_;
};

}  // namespace sis::net
