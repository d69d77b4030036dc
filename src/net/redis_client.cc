#include "net/redis_client.h"

#include <openssl/evp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "base/thread_team.h"
#include "net/redis_connection.h"

namespace sis::net {
namespace {

constexpr Duration kBudgetMax = std::chrono::hours(1);
constexpr Duration kSleepMax = std::chrono::seconds(60);

class Client final : public RedisClient {
 public:
  Client(const RedisUrl& url, const RedisOptions& options, telemetry::Logger log)
      : url_(url), options_(options), log_(std::move(log)), wake_(eventfd(0, EFD_CLOEXEC)) {
    SIS_CHECK(wake_ >= 0, "no eventfd");
    std::random_device device;
    for (int i = 0; i < std::max(1, options_.connections); ++i)
      connections_.push_back(
          std::make_unique<RedisConnection>(RedisConnection::Place{url_, options_, counts_, ended_},
                                            static_cast<uint64_t>(device()) << 32 | device()));
    thread_ = std::thread([this] {
      name_this_thread("sis-redis");
      work();
    });
  }

  ~Client() override {
    close();
    ::close(wake_);
  }

  void close() override {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(stopping_, true)) return;
    }
    wake();
    thread_.join();
  }

  void command(std::vector<std::string> words, Duration budget, Done done) override {
    if (!healthy()) return refuse(std::move(done));
    submit({.bytes = redis_command_bytes(words),
            .deadline = deadline(budget),
            .done = std::move(done),
            .with_source = nullptr});
  }

  void eval(std::shared_ptr<const RedisScript> script, std::vector<std::string> keys,
            std::vector<std::string> args, Duration budget, Done done) override {
    if (!healthy()) return refuse(std::move(done));
    std::vector<std::string> words = {"EVALSHA", script->sha1(), std::to_string(keys.size())};
    std::move(keys.begin(), keys.end(), std::back_inserter(words));
    std::move(args.begin(), args.end(), std::back_inserter(words));
    std::string bytes = redis_command_bytes(words);
    submit({.bytes = std::move(bytes),
            .deadline = deadline(budget),
            .done = std::move(done),
            .with_source = [script = std::move(script), words = std::move(words)]() mutable {
              words[0] = "EVAL";
              words[1] = script->source();
              return redis_command_bytes(words);
            }});
  }

  bool healthy() const override { return usable_.load(std::memory_order_relaxed); }

  RedisStats stats() const override {
    return {.connections_ready = ready_,
            .calls = calls_,
            .refused = refused_,
            .timeouts = counts_.timeouts,
            .errors = counts_.errors,
            .connects = counts_.connects};
  }

 private:
  static TimePoint deadline(Duration budget) {
    return std::chrono::steady_clock::now() + std::min(budget, kBudgetMax);
  }

  void wake() const {
    const uint64_t one = 1;
    // Fails only when the counter is full: then the thread is awake already.
    [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
  }

  void refuse(Done done) {
    ++calls_;
    ++refused_;
    done(Error{Code::kUnavailable, "Redis cannot be had now"});
  }

  void submit(RedisCall call) {
    ++calls_;
    const size_t bytes = call.bytes.size();
    const size_t calls_open = ++counts_.calls_open;
    if ((counts_.bytes_open += bytes) > options_.call_bytes_max ||
        calls_open > options_.calls_max) {
      --counts_.calls_open;
      counts_.bytes_open -= bytes;
      ++refused_;
      return call.done(Error{Code::kOverloaded, "too many calls to Redis are open"});
    }
    bool first = false, stopping = false;
    {
      const std::lock_guard lock(mutex_);
      stopping = stopping_;
      first = inbox_.empty();
      if (!stopping) inbox_.push_back(std::move(call));
    }
    if (stopping) return call.done(Error{Code::kUnavailable, "Redis cannot be had now"});
    if (first) wake();
  }

  // ---- the client's thread
  void work();
  void take_inbox(TimePoint now);
  void tell();
  void report();
  void sleep(TimePoint now);

  const RedisUrl url_;
  const RedisOptions options_;
  const telemetry::Logger log_;
  const int wake_;
  RedisCounts counts_;
  std::atomic<int64_t> calls_{0}, refused_{0};
  std::atomic<bool> usable_{false};
  std::atomic<int> ready_{0};
  std::mutex mutex_;  // guards inbox_ and stopping_
  std::vector<RedisCall> inbox_;
  bool stopping_ = false;
  std::vector<RedisConnection::Ended> ended_;  // the thread's own, as what follows
  std::vector<std::unique_ptr<RedisConnection>> connections_;
  enum class Reported : uint8_t { kNothing, kUp, kDown };
  Reported reported_ = Reported::kNothing;
  std::thread thread_;
};

void Client::work() {
  for (bool stopping = false; !stopping;) {
    const TimePoint now = std::chrono::steady_clock::now();
    for (const auto& connection : connections_)
      if (connection->wake_at(now) <= now) connection->on_time(now);
    {
      const std::lock_guard lock(mutex_);
      stopping = stopping_;
    }
    if (stopping) {
      usable_ = false;
      for (const auto& connection : connections_) connection->close("the server is stopping", now);
    }
    take_inbox(now);
    for (const auto& connection : connections_) connection->flush(now);
    if (!stopping) report();
    tell();
    if (!stopping) sleep(now);
  }
}

void Client::take_inbox(TimePoint now) {
  std::vector<RedisCall> calls;
  {
    const std::lock_guard lock(mutex_);
    calls.swap(inbox_);
  }
  for (RedisCall& call : calls) {
    RedisConnection* best = nullptr;
    for (const auto& connection : connections_)
      if (connection->usable(now) && (best == nullptr || connection->calls() < best->calls()))
        best = connection.get();
    if (best != nullptr && call.deadline > now) {
      best->send(std::move(call));
      continue;
    }
    --counts_.calls_open;
    counts_.bytes_open -= call.bytes.size();
    const bool late = call.deadline <= now;
    if (late)
      ++counts_.timeouts;
    else
      ++refused_;
    ended_.push_back(
        {std::move(call.done), late ? Error{Code::kDeadline, "Redis did not answer in time"}
                                    : Error{Code::kUnavailable, "Redis cannot be had now"}});
  }
}

// Makes known how the connections are, before anybody is told of a call's end.
void Client::report() {
  const TimePoint now = std::chrono::steady_clock::now();
  int ready = 0;
  bool usable = false;
  std::string_view reason;
  for (const auto& connection : connections_) {
    ready += connection->ready();
    usable = usable || connection->usable(now);
    if (!connection->reason().empty()) reason = connection->reason();
  }
  ready_ = ready;
  usable_ = usable;
  if (ready > 0 && reported_ != Reported::kUp) {
    reported_ = Reported::kUp;
    log_.info("redis_up", {{"redis", url_.place()}});
  } else if (ready == 0 && reported_ != Reported::kDown && !reason.empty()) {
    reported_ = Reported::kDown;
    log_.warning("redis_down", {{"redis", url_.place()}, {"reason", reason}});
  }
}

void Client::tell() {
  std::vector<RedisConnection::Ended> ended;
  ended.swap(ended_);
  for (auto& one : ended) one.done(std::move(one.reply));
}

void Client::sleep(TimePoint now) {
  std::vector<pollfd> polled = {{.fd = wake_, .events = POLLIN, .revents = 0}};
  TimePoint until = now + kSleepMax;
  for (const auto& connection : connections_) {
    until = std::min(until, connection->wake_at(now));
    polled.push_back({.fd = connection->socket(), .events = connection->events(), .revents = 0});
  }
  const auto left = std::max<std::chrono::nanoseconds>(until - std::chrono::steady_clock::now(),
                                                       std::chrono::nanoseconds::zero());
  const timespec timeout{.tv_sec = left.count() / 1'000'000'000,
                         .tv_nsec = left.count() % 1'000'000'000};
  if (ppoll(polled.data(), polled.size(), &timeout, nullptr) <= 0) return;
  if (polled[0].revents != 0) {
    uint64_t count;
    [[maybe_unused]] const ssize_t got = ::read(wake_, &count, sizeof count);
  }
  const TimePoint woken = std::chrono::steady_clock::now();
  for (size_t i = 0; i < connections_.size(); ++i)
    if (polled[i + 1].revents != 0) connections_[i]->on_events(polled[i + 1].revents, woken);
}

}  // namespace

RedisScript::RedisScript(std::string source) : source_(std::move(source)) {
  unsigned char digest[20];
  unsigned bytes = 0;
  SIS_CHECK(EVP_Digest(source_.data(), source_.size(), digest, &bytes, EVP_sha1(), nullptr) == 1 &&
                bytes == sizeof digest,
            "SHA-1 failed");
  for (const unsigned char byte : digest) sha1_ += fmt::format("{:02x}", byte);
}

std::unique_ptr<RedisClient> RedisClient::create(const RedisUrl& url, const RedisOptions& options,
                                                 telemetry::Logger log) {
  return std::make_unique<Client>(url, options, std::move(log));
}

void RedisClient::get(std::string key, size_t bytes_max, Duration budget,
                      std::function<void(Result<std::optional<std::string>>)> done) {
  if (bytes_max == 0) return done(std::optional<std::string>());
  command({"GETRANGE", std::move(key), "0", std::to_string(bytes_max - 1)}, budget,
          [done = std::move(done)](Result<RedisReply> reply) {
            if (!reply.ok()) return done(std::move(reply).error());
            if (reply->kind != RedisReply::Kind::kText)
              return done(Error{Code::kInternal, "Redis: GETRANGE wants a text in reply"});
            if (reply->text.empty()) return done(std::optional<std::string>());
            done(std::optional<std::string>(std::move(reply->text)));
          });
}

void RedisClient::set(std::string key, std::string value, Duration ttl, Duration budget,
                      std::function<void(Status)> done) {
  const auto ttl_ms = std::chrono::ceil<std::chrono::milliseconds>(ttl).count();
  command({"SET", std::move(key), std::move(value), "PX", std::to_string(std::max(1L, ttl_ms))},
          budget, [done = std::move(done)](Result<RedisReply> reply) {
            if (!reply.ok()) return done(std::move(reply).error());
            if (reply->kind != RedisReply::Kind::kStatus)
              return done(Error{Code::kInternal, "Redis: SET wants a status in reply"});
            done({});
          });
}

}  // namespace sis::net
