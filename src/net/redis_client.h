// Redis for callers that can do without it: every call has a time budget and a definite end.
//
// A few connections, each pipelined, live on one thread of the client's own. The protocol is
// hiredis' (formatting and reading); sockets and deadlines are ours, because hiredis 0.14 has no
// deadlines in its asynchronous mode, and blocking workers would let one paused Redis hold all of
// them. So however Redis fares (slow, paused, gone, restarted, or not a Redis at all), each call
// ends within its budget, and while nothing can be expected from Redis at once, without a look at a
// socket:
//  - a connection that owes an overdue reply gets no further calls until it has answered, and is
//    closed when it does not;
//  - a connection carries calls only after Redis has greeted on it (AUTH, SELECT, PING);
//  - lost connections come back by themselves, with growing, jittered pauses.
// An error means that nobody knows whether Redis has done it. Nothing is tried twice.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/redis_reply.h"
#include "net/redis_url.h"
#include "telemetry/log.h"

namespace sis::net {

struct RedisOptions {
  int connections = 2;
  size_t calls_max = 4096;                 // open at a time; more: kOverloaded
  size_t call_bytes_max = 64 << 20;        // of all open calls together; more: kOverloaded
  size_t reply_bytes_max = 16 << 20;       // a larger one closes its connection
  Duration greet_timeout = from_ms(1000);  // to resolve, to connect and be greeted
  Duration stall_timeout = from_ms(1000);  // a reply overdue for so long closes its connection
  Duration retry_least = from_ms(100), retry_most = from_seconds(2);
};

// A Lua script, run atomically by Redis.
class RedisScript {
 public:
  explicit RedisScript(std::string source);
  const std::string& source() const { return source_; }
  const std::string& sha1() const { return sha1_; }  // hexadecimal

 private:
  std::string source_, sha1_;
};

struct RedisStats {
  int connections_ready = 0;
  int64_t calls = 0;     // since the start, refused ones included
  int64_t refused = 0;   // not sent: no connection, or too many open
  int64_t timeouts = 0;  // no reply within the budget
  int64_t errors = 0;    // error replies and replies of the wrong kind
  int64_t connects = 0;  // greeted by Redis, so often
};

// Every `done` is called exactly once, within the budget: inside the call when it is refused, else
// on the client's thread, which all calls share. It must be cheap, must not block and may call the
// client again. Errors: kUnavailable (no connection, or it was lost), kOverloaded, kDeadline,
// kInternal (Redis' own error, or a reply of the wrong kind).
class RedisClient {
 public:
  using Done = std::function<void(Result<RedisReply>)>;

  // Starts its thread, which connects at once and logs "redis_up" and "redis_down" when that
  // changes, never with user or password.
  static std::unique_ptr<RedisClient> create(const RedisUrl& url, const RedisOptions& options,
                                             telemetry::Logger log);
  virtual ~RedisClient() = default;  // closes
  // Ends what is open with kUnavailable and joins the thread; later calls are refused. Not inside a
  // `done`. For owners who share the client and want its callbacks to be over.
  virtual void close() = 0;

  // Any command whose reply is one reply: {"INCR", "counter"}. No SUBSCRIBE, MONITOR, MULTI, and
  // nothing that blocks in Redis.
  virtual void command(std::vector<std::string> words, Duration budget, Done done) = 0;

  // By hash (EVALSHA), and by source when Redis does not know it.
  virtual void eval(std::shared_ptr<const RedisScript> script, std::vector<std::string> keys,
                    std::vector<std::string> args, Duration budget, Done done) = 0;

  // At most `bytes_max` bytes of it, its beginning; nothing when it is absent or empty.
  void get(std::string key, size_t bytes_max, Duration budget,
           std::function<void(Result<std::optional<std::string>>)> done);
  // `ttl` of at least a millisecond.
  void set(std::string key, std::string value, Duration ttl, Duration budget,
           std::function<void(Status)> done);

  // Whether a call now would be sent. Any thread, no lock.
  virtual bool healthy() const = 0;
  virtual RedisStats stats() const = 0;
};

}  // namespace sis::net
