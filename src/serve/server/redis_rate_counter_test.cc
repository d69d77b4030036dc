// The shared counter against a Redis of the test's own.
#include "serve/server/redis_rate_counter.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <future>
#include <thread>

#include "base/rng.h"
#include "base/strings.h"

namespace sis::server {
namespace {

using admission::RateCharge;
using admission::RateClient;
using admission::RateVerdict;
using admission::RateWindow;
using std::chrono::milliseconds;

int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

class RedisServer {
 public:
  RedisServer() : port(free_port()) {
    const std::string text = concat(port);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(1);
      ::execlp("redis-server", "redis-server", "--port", text.c_str(), "--bind", "127.0.0.1",
               "--save", "", "--appendonly", "no", "--dir", "/tmp", nullptr);
      ::_exit(127);
    }
  }
  ~RedisServer() { end(); }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  void pause() const { ::kill(pid_, SIGSTOP); }
  void resume() const { ::kill(pid_, SIGCONT); }
  const int port;

 private:
  pid_t pid_ = 0;
};

// One process of the service.
struct Process {
  explicit Process(int port, Duration budget = std::chrono::seconds(2))
      : redis(net::RedisClient::create({.host = "127.0.0.1", .port = static_cast<uint16_t>(port)},
                                       {.retry_least = milliseconds(20)}, {})),
        counter(redis, local, budget) {
    for (int i = 0; i < 1000 && !redis->healthy(); ++i)
      std::this_thread::sleep_for(milliseconds(10));
  }
  RateVerdict take(const RateWindow& window, int64_t cost = 1, const std::string& name = "a") {
    std::promise<RateVerdict> verdict;
    const RateCharge charge{&window, cost};
    counter.take({RateClient::Kind::kKey, name}, {&charge, 1},
                 [&](const RateVerdict& said) { verdict.set_value(said); });
    return verdict.get_future().get();
  }
  SteadyClock clock;
  admission::LocalRateCounter local{clock, 100};
  std::shared_ptr<net::RedisClient> redis;
  RedisRateCounter counter;
};

TEST(RedisRateCounter, TwoProcessesKeepOneLimit) {
  RedisServer server;
  Process one(server.port), two(server.port);
  ASSERT_TRUE(one.redis->healthy() && two.redis->healthy());
  const RateWindow window{"minute", 10, std::chrono::minutes(1)};
  for (int i = 0; i < 10; ++i) {
    const auto verdict = (i % 2 ? one : two).take(window);
    ASSERT_TRUE(verdict.allowed()) << i;
    EXPECT_EQ(verdict.levels[0].remaining, 9 - i);
    EXPECT_TRUE(verdict.levels[0].shared);
  }
  for (Process* process : {&one, &two}) {
    const auto verdict = process->take(window);
    EXPECT_EQ(verdict.refused_by, 0);
    EXPECT_GT(verdict.retry_after, std::chrono::seconds(50));
    EXPECT_LE(verdict.retry_after, std::chrono::minutes(1));
    EXPECT_TRUE(process->take(window, 1, "other").allowed());
  }
}

// No stretch of the window's length holds more than the limit, and a refused request fits at the
// time it was told.
TEST(RedisRateCounter, KeepsSlidingWindows) {
  RedisServer server;
  Process process(server.port);
  ASSERT_TRUE(process.redis->healthy());
  for (const int64_t limit : {int64_t{7}, int64_t{200}}) {
    Rng rng(static_cast<uint64_t>(limit));
    const RateWindow window{concat("w", limit), limit, milliseconds(240)};
    std::deque<std::pair<TimePoint, int64_t>> admitted;  // when they were asked for
    const TimePoint end = process.clock.now() + milliseconds(1500),
                    end_at_last = end + std::chrono::seconds(60);
    int refused = 0;
    // What was charged after its `asked` still counts while that is less than a window ago; two
    // milliseconds because Redis cuts its time.
    const auto check = [&](TimePoint asked, int64_t cost) {
      const TimePoint answered = process.clock.now();
      admitted.emplace_back(asked, cost);
      int64_t sum = 0;
      for (const auto& [when, count] : admitted)
        if (when + window.length > answered + milliseconds(2)) sum += count;
      return sum <= limit;
    };
    // A slow machine may take longer to come to refusals.
    while (process.clock.now() < end || (refused <= 2 && process.clock.now() < end_at_last)) {
      const int64_t cost = 1 + static_cast<int64_t>(rng.below(static_cast<uint64_t>(limit) / 3));
      TimePoint asked = process.clock.now();
      const auto verdict = process.take(window, cost);
      if (!verdict.allowed()) {
        ++refused;
        ASSERT_LE(verdict.retry_after, window.length + milliseconds(3));
        std::this_thread::sleep_for(verdict.retry_after + milliseconds(2));
        asked = process.clock.now();
        ASSERT_TRUE(process.take(window, cost).allowed());
      }
      ASSERT_TRUE(check(asked, cost));
      std::this_thread::sleep_for(std::chrono::microseconds(rng.below(20000)));
    }
    EXPECT_GT(refused, 2);
  }
}

TEST(RedisRateCounter, SettlesAnEstimate) {
  RedisServer server;
  Process process(server.port);
  ASSERT_TRUE(process.redis->healthy());
  const RateWindow window{"tokens", 100, std::chrono::minutes(1)};
  const RateClient client{RateClient::Kind::kKey, "a"};
  const auto first = process.take(window, 60);
  ASSERT_TRUE(first.allowed());
  EXPECT_FALSE(process.take(window, 50).allowed());
  process.counter.settle(client, window, first.levels[0], 60, 10);
  // Nobody waits for a correction: it may arrive behind the next request.
  auto second = process.take(window, 50);
  for (int i = 0; i < 500 && !second.allowed(); ++i) {
    std::this_thread::sleep_for(milliseconds(10));
    second = process.take(window, 50);
  }
  ASSERT_TRUE(second.allowed());
  EXPECT_EQ(second.levels[0].remaining, 40);
  process.counter.settle(client, window, second.levels[0], 50, 500);
  int more = 0;
  while (more < 40 && process.take(window, 1).allowed()) {
    std::this_thread::sleep_for(milliseconds(10));
    ++more;
  }
  EXPECT_LT(more, 40);  // 40 would have fitted
}

// Gone or silent, Redis costs no more than the budget: this process then counts for itself.
TEST(RedisRateCounter, CountsLocallyWithoutRedis) {
  RedisServer server;
  Process process(server.port, milliseconds(1000));
  ASSERT_TRUE(process.redis->healthy());
  const RateWindow window{"minute", 3, std::chrono::minutes(1)};
  EXPECT_TRUE(process.take(window).levels[0].shared);
  server.pause();
  for (int i = 0; i < 3; ++i) {
    const TimePoint start = process.clock.now();
    const auto verdict = process.take(window);
    EXPECT_TRUE(verdict.allowed());
    EXPECT_FALSE(verdict.levels[0].shared);
    EXPECT_LT(process.clock.now() - start, std::chrono::seconds(20));
  }
  EXPECT_FALSE(process.take(window).allowed());
  server.resume();
  server.end();
  EXPECT_FALSE(process.take(window).allowed());
  EXPECT_TRUE(process.take(window, 1, "other").allowed());
}

}  // namespace
}  // namespace sis::server
