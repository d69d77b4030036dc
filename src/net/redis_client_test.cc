// The client against ports that speak Redis, speak it badly, or not at all.
#include "net/redis_client.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

#include "base/strings.h"
#include "net/http_client_test_server.h"

namespace sis::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Peer = ScriptedServer::Peer;
using Words = std::vector<std::string>;

// The next command; empty when the client has closed.
class Commands {
 public:
  explicit Commands(Peer& peer) : peer_(peer) {}
  Words next() {
    Words words;
    const std::string head = line();
    if (head.empty() || head[0] != '*') return {};
    for (int64_t left = *parse_int(head.substr(1)); left > 0; --left) {
      const std::string size = line();
      if (size.empty()) return {};
      const auto bytes = static_cast<size_t>(*parse_int(size.substr(1)));
      if (!fill(bytes + 2)) return {};
      words.push_back(buffer_.substr(0, bytes));
      buffer_.erase(0, bytes + 2);
    }
    return words;
  }
  bool greet() {
    for (;;) {
      const Words words = next();
      if (words.empty()) return false;
      peer_.send(words[0] == "PING" ? "+PONG\r\n" : "+OK\r\n");
      if (words[0] == "PING") return true;
    }
  }

 private:
  bool fill(size_t bytes) {
    char chunk[4096];
    while (buffer_.size() < bytes) {
      const ssize_t got = ::recv(peer_.fd(), chunk, sizeof chunk, 0);
      if (got <= 0) return false;
      buffer_.append(chunk, static_cast<size_t>(got));
    }
    return true;
  }
  std::string line() {
    size_t end;
    while ((end = buffer_.find("\r\n")) == std::string::npos)
      if (!fill(buffer_.size() + 1)) return {};
    std::string text = buffer_.substr(0, end);
    buffer_.erase(0, end + 2);
    return text;
  }

  Peer& peer_;
  std::string buffer_;
};

std::string bulk(std::string_view text) { return concat("$", text.size(), "\r\n", text, "\r\n"); }

RedisUrl url_of(uint16_t port) {
  RedisUrl url;
  url.host = "127.0.0.1";
  url.port = port;
  return url;
}

RedisOptions quick() {
  RedisOptions options;
  options.connections = 1;
  options.greet_timeout = milliseconds(300);
  options.stall_timeout = milliseconds(300);
  options.retry_least = milliseconds(10);
  options.retry_most = milliseconds(50);
  return options;
}

std::unique_ptr<RedisClient> client_of(const ScriptedServer& server,
                                       const RedisOptions& options = quick()) {
  return RedisClient::create(url_of(server.port()), options, {});
}

template <class Condition>
bool until(Condition condition, milliseconds time = seconds(20)) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

// What came of a call, and after how long.
struct Outcome {
  Result<RedisReply> reply = RedisReply{};
  double took_ms = 0;
};
Outcome ask(RedisClient& client, Words words, Duration budget) {
  const auto begin = std::chrono::steady_clock::now();
  auto promise = std::make_shared<std::promise<Result<RedisReply>>>();
  client.command(std::move(words), budget,
                 [promise](Result<RedisReply> reply) { promise->set_value(std::move(reply)); });
  auto reply = promise->get_future().get();
  return {std::move(reply), to_ms(std::chrono::steady_clock::now() - begin)};
}

// Many callers, replies in order: each gets its own.
TEST(RedisClient, PipelinesManyCallers) {
  ScriptedServer server([](Peer& peer) {
    Commands commands(peer);
    if (!commands.greet()) return;
    for (Words words = commands.next(); !words.empty(); words = commands.next())
      peer.send(bulk(words[1] + "!"));
  });
  RedisOptions options = quick();
  options.connections = 3;
  const auto client = client_of(server, options);
  ASSERT_TRUE(until([&] { return client->healthy(); }));
  std::atomic<int> right{0}, ended{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const std::string key = concat("key-", t, "-", i);
        client->get(key, 100, seconds(20), [&, key](Result<std::optional<std::string>> value) {
          right += value.ok() && *value == key + "!";
          ++ended;
        });
      }
    });
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE(until([&] { return ended == 2000; }));
  EXPECT_EQ(right, 2000);
  EXPECT_EQ(client->stats().calls, 2000);
  EXPECT_EQ(client->stats().timeouts, 0);
}

TEST(RedisClient, GreetsThenGetsAndSets) {
  std::mutex mutex;
  std::vector<Words> seen;
  ScriptedServer server([&](Peer& peer) {
    Commands commands(peer);
    std::map<std::string, std::string> stored;
    for (Words words = commands.next(); !words.empty(); words = commands.next()) {
      {
        const std::lock_guard lock(mutex);
        seen.push_back(words);
      }
      if (words[0] == "GETRANGE")
        peer.send(bulk(stored[words[1]].substr(0, *parse_int(words[3]) + 1)));
      else if (words[0] == "SET")
        peer.send((stored[words[1]] = words[2], "+OK\r\n"));
      else
        peer.send(words[0] == "PING" ? "+PONG\r\n" : "+OK\r\n");
    }
  });
  RedisUrl url = url_of(server.port());
  url.user = "me";
  url.password = "secret";
  url.db = 5;
  const auto client = RedisClient::create(url, quick(), {});
  ASSERT_TRUE(until([&] { return client->healthy(); }));
  std::promise<Status> stored;
  client->set("k", std::string("v\r\n\0v", 5), milliseconds(1500), seconds(20),
              [&](Status status) { stored.set_value(std::move(status)); });
  ASSERT_TRUE(stored.get_future().get().ok());
  const auto got = [&](const char* key, size_t most) {
    std::promise<Result<std::optional<std::string>>> value;
    client->get(key, most, seconds(20), [&](auto result) { value.set_value(std::move(result)); });
    auto result = value.get_future().get();
    EXPECT_TRUE(result.ok());
    return *result;
  };
  EXPECT_EQ(got("k", 100), std::string("v\r\n\0v", 5));
  EXPECT_EQ(got("k", 1), "v");
  EXPECT_EQ(got("absent", 100), std::nullopt);
  const std::lock_guard lock(mutex);
  ASSERT_GE(seen.size(), 4u);
  EXPECT_EQ(seen[0], (Words{"AUTH", "me", "secret"}));
  EXPECT_EQ(seen[1], (Words{"SELECT", "5"}));
  EXPECT_EQ(seen[2], (Words{"PING"}));
  EXPECT_EQ(seen[3], (Words{"SET", "k", std::string("v\r\n\0v", 5), "PX", "1500"}));
}

// A script that Redis does not know is sent once more with its source, in the same call.
TEST(RedisClient, SendsTheScriptWhenRedisDoesNotKnowIt) {
  std::atomic<int> by_hash{0}, by_source{0};
  ScriptedServer server([&](Peer& peer) {
    Commands commands(peer);
    if (!commands.greet()) return;
    bool known = false;
    for (Words words = commands.next(); !words.empty(); words = commands.next()) {
      EXPECT_EQ(Words(words.begin() + 2, words.end()), (Words{"1", "key", "arg"}));
      if (words[0] == "EVAL") {
        ++by_source;
        EXPECT_EQ(words[1], "return 7");
        known = true;
      } else {
        ++by_hash;
        EXPECT_EQ(words[1], "59b6ab2fbe0ee4b25733de0f62e6cda4899ef8e9");
      }
      peer.send(known ? ":7\r\n" : "-NOSCRIPT No matching script.\r\n");
    }
  });
  const auto client = client_of(server);
  ASSERT_TRUE(until([&] { return client->healthy(); }));
  const auto script = std::make_shared<const RedisScript>("return 7");
  for (int i = 0; i < 2; ++i) {
    std::promise<Result<RedisReply>> promise;
    client->eval(script, {"key"}, {"arg"}, seconds(20),
                 [&](Result<RedisReply> reply) { promise.set_value(std::move(reply)); });
    auto reply = promise.get_future().get();
    ASSERT_TRUE(reply.ok()) << reply.error().message;
    EXPECT_EQ(reply->integer, 7);
  }
  EXPECT_EQ(by_hash, 2);
  EXPECT_EQ(by_source, 1);
}

// An unanswered call ends at its budget; from then on nobody waits, until Redis is back.
TEST(RedisClient, APausedRedisCostsOneBudget) {
  std::atomic<bool> paused{true};
  ScriptedServer server([&](Peer& peer) {
    Commands commands(peer);
    if (peer.number > 0 && paused) return peer.wait_for_close();  // not even a greeting
    if (!commands.greet()) return;
    for (Words words = commands.next(); !words.empty(); words = commands.next()) {
      if (paused) return peer.wait_for_close();
      peer.send(":1\r\n");
    }
  });
  const auto client = client_of(server);
  ASSERT_TRUE(until([&] { return client->healthy(); }));
  const auto first = ask(*client, {"INCR", "x"}, milliseconds(60));
  ASSERT_FALSE(first.reply.ok());
  EXPECT_EQ(first.reply.error().code, Code::kDeadline);
  EXPECT_GE(first.took_ms, 55);
  EXPECT_LT(first.took_ms, 5000);
  EXPECT_FALSE(client->healthy());
  const auto second = ask(*client, {"INCR", "x"}, seconds(60));
  ASSERT_FALSE(second.reply.ok());
  EXPECT_EQ(second.reply.error().code, Code::kUnavailable);
  EXPECT_EQ(client->stats().timeouts, 1);
  paused = false;
  ASSERT_TRUE(until([&] { return client->healthy(); }));  // on a new connection
  EXPECT_TRUE(ask(*client, {"INCR", "x"}, seconds(20)).reply.ok());
  EXPECT_EQ(client->stats().connects, 2);
}

// A late reply is nobody's, and the connection is good again.
TEST(RedisClient, ALateReplyIsNotTheNextCallsReply) {
  std::atomic<bool> late{false};
  ScriptedServer server([&](Peer& peer) {
    Commands commands(peer);
    if (!commands.greet()) return;
    for (Words words = commands.next(); !words.empty(); words = commands.next()) {
      for (int i = 0; i < 2000 && words[1] == "slow" && !late; ++i) peer.wait(milliseconds(10));
      peer.send(bulk(words[1]));
    }
  });
  RedisOptions options = quick();
  options.stall_timeout = seconds(20);
  const auto client = client_of(server, options);
  ASSERT_TRUE(until([&] { return client->healthy(); }));
  EXPECT_FALSE(ask(*client, {"GET", "slow"}, milliseconds(20)).reply.ok());
  late = true;
  ASSERT_TRUE(until([&] { return client->healthy(); }));
  const auto next = ask(*client, {"GET", "next"}, seconds(20));
  ASSERT_TRUE(next.reply.ok());
  EXPECT_EQ(next.reply->text, "next");
  EXPECT_EQ(client->stats().connects, 1);
}

TEST(RedisClient, ComesBackAfterALostConnection) {
  std::atomic<int> lose{1};
  ScriptedServer server([&](Peer& peer) {
    Commands commands(peer);
    if (!commands.greet()) return;
    for (Words words = commands.next(); !words.empty(); words = commands.next()) {
      if (lose-- > 0) return peer.reset();
      peer.send("$-1\r\n");
    }
  });
  const auto client = client_of(server);
  ASSERT_TRUE(until([&] { return client->healthy(); }));
  const auto lost = ask(*client, {"GET", "x"}, seconds(20));
  ASSERT_FALSE(lost.reply.ok());
  EXPECT_EQ(lost.reply.error().code, Code::kUnavailable);
  ASSERT_TRUE(until([&] { return client->healthy(); }));
  EXPECT_TRUE(ask(*client, {"GET", "x"}, seconds(20)).reply.ok());
}

// Ports that greet like no Redis never get a call; what they sent is bounded.
TEST(RedisClient, APortThatIsNoRedisNeverGetsACall) {
  const std::pair<const char*, std::function<void(Peer&)>> ports[] = {
      {"HTTP", [](Peer& peer) { peer.send("HTTP/1.1 400 Bad Request\r\n\r\n"); }},
      {"echo",
       [](Peer& peer) {
         char chunk[1000];
         for (ssize_t got; (got = ::recv(peer.fd(), chunk, sizeof chunk, 0)) > 0;)
           peer.send({chunk, static_cast<size_t>(got)});
       }},
      {"endless line",
       [](Peer& peer) {
         peer.send("+");
         while (peer.send(std::string(4096, 'x'))) {
         }
       }},
      {"endless list",
       [](Peer& peer) {
         peer.send("*1000000000\r\n");
         while (peer.send(":1\r\n:1\r\n:1\r\n:1\r\n")) {
         }
       }},
      {"silent", [](Peer& peer) { peer.wait_for_close(); }},
      {"no password known", [](Peer& peer) { peer.send("-NOAUTH Authentication required.\r\n"); }},
      {"loading", [](Peer& peer) { peer.send("-LOADING Redis is loading\r\n"); }},
      {"closing", [](Peer&) {}},
  };
  for (const auto& [name, script] : ports) {
    ScriptedServer server(script);
    RedisOptions options = quick();
    options.greet_timeout = milliseconds(50);
    options.reply_bytes_max = 100000;
    const auto client = client_of(server, options);
    ASSERT_TRUE(until([&, &server = server] { return server.connections() >= 3; })) << name;
    const auto outcome = ask(*client, {"GET", "x"}, seconds(60));
    EXPECT_FALSE(outcome.reply.ok()) << name;
    EXPECT_FALSE(client->healthy()) << name;
    EXPECT_EQ(client->stats().connects, 0) << name;
  }
}

// Garbage after a good greeting: the call fails, the connection is closed.
TEST(RedisClient, GarbageInsteadOfAReplyIsAnError) {
  ScriptedServer server([](Peer& peer) {
    Commands commands(peer);
    if (!commands.greet()) return;
    commands.next();
    peer.send("?????\r\n");
    peer.wait_for_close();
  });
  const auto client = client_of(server);
  ASSERT_TRUE(until([&] { return client->healthy(); }));
  const auto outcome = ask(*client, {"GET", "x"}, seconds(20));
  ASSERT_FALSE(outcome.reply.ok());
  EXPECT_EQ(outcome.reply.error().code, Code::kUnavailable);
}

TEST(RedisClient, ErrorsAndWrongKindsAreErrors) {
  ScriptedServer server([](Peer& peer) {
    Commands commands(peer);
    if (!commands.greet()) return;
    for (Words words = commands.next(); !words.empty(); words = commands.next())
      peer.send(words[1] == "list" ? "*1\r\n:1\r\n" : "-WRONGTYPE not a string\r\n");
  });
  const auto client = client_of(server);
  ASSERT_TRUE(until([&] { return client->healthy(); }));
  for (const char* key : {"list", "hash"}) {
    std::promise<Result<std::optional<std::string>>> value;
    client->get(key, 10, seconds(20), [&](auto result) { value.set_value(std::move(result)); });
    const auto result = value.get_future().get();
    ASSERT_FALSE(result.ok()) << key;
    EXPECT_EQ(result.error().code, Code::kInternal);
  }
  EXPECT_TRUE(client->healthy());
}

// More than the bounds are refused at once; destroying the client ends the rest.
TEST(RedisClient, OpenCallsAreBoundedAndEndWithTheClient) {
  ScriptedServer server([](Peer& peer) {
    Commands commands(peer);
    if (commands.greet()) peer.wait_for_close();
  });
  RedisOptions options = quick();
  options.calls_max = 3;
  options.call_bytes_max = 10000;
  auto client = client_of(server, options);
  ASSERT_TRUE(until([&] { return client->healthy(); }));
  std::vector<Code> codes;  // appended in the call, or before the destructor returns
  const auto keep = [&](Result<RedisReply> reply) { codes.push_back(reply.error().code); };
  client->command({"SET", "x", std::string(20000, 'x')}, seconds(60), keep);
  EXPECT_EQ(codes, std::vector{Code::kOverloaded});
  for (int i = 0; i < 4; ++i) client->command({"GET", "x"}, seconds(60), keep);
  EXPECT_EQ(codes, (std::vector{Code::kOverloaded, Code::kOverloaded}));
  client->close();
  EXPECT_EQ(codes, (std::vector{Code::kOverloaded, Code::kOverloaded, Code::kUnavailable,
                                Code::kUnavailable, Code::kUnavailable}));
  client->command({"GET", "x"}, seconds(60), keep);
  EXPECT_EQ(codes.size(), 6u);
}

// The log tells where Redis is and why it cannot be had, and never the password, not even when the
// other side repeats it.
TEST(RedisClient, NeverLogsThePassword) {
  char path[] = "/tmp/sis_redis_log_XXXXXX";
  const int file = mkstemp(path);
  ASSERT_GE(file, 0);
  {
    ScriptedServer server([](Peer& peer) {
      Commands commands(peer);
      const Words words = commands.next();
      if (words.size() == 2)
        peer.send(
            concat("-ERR unknown command `AUTH`, with args beginning with: `", words[1], "`\r\n"));
      peer.wait_for_close();
    });
    RedisUrl url = url_of(server.port());
    url.password = "hunter2";
    const auto log = telemetry::open_log({.fd = file});
    const auto client = RedisClient::create(url, quick(), log);
    ASSERT_TRUE(until([&] { return server.connections() >= 2; }));
    log.flush();
  }
  ::close(file);
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  ::unlink(path);
  EXPECT_NE(text.str().find("redis_down"), std::string::npos) << text.str();
  EXPECT_NE(text.str().find("Redis refused AUTH: ERR"), std::string::npos) << text.str();
  EXPECT_EQ(text.str().find("hunter2"), std::string::npos) << text.str();
}

// A name that has to be resolved, and a port where nobody listens.
TEST(RedisClient, ResolvesNamesAndWaitsForAPort) {
  ScriptedServer server([](Peer& peer) {
    Commands commands(peer);
    if (commands.greet()) peer.wait_for_close();
  });
  RedisUrl url = url_of(server.port());
  url.host = "localhost";
  const auto client = RedisClient::create(url, quick(), {});
  EXPECT_TRUE(until([&] { return client->healthy(); }));
  EXPECT_EQ(server.connections(), 1);  // at the first attempt

  uint16_t dead_port = 0;
  {
    ScriptedServer gone([](Peer&) {});
    dead_port = gone.port();
  }
  const auto nobody = RedisClient::create(url_of(dead_port), quick(), {});
  const auto outcome = ask(*nobody, {"GET", "x"}, seconds(60));
  ASSERT_FALSE(outcome.reply.ok());
  EXPECT_EQ(outcome.reply.error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace sis::net
