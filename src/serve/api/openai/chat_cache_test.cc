// Certain chats through the response cache, over real HTTP; each test speaks the model's part.
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "net/raw_client.h"
#include "serve/api/openai/chat.h"
#include "serve/api/openai/chat_fixture.h"
#include "serve/cache/memory_cache.h"

namespace sis::api {
namespace {

using net::testing::RawAnswer;
using net::testing::RawClient;
using nlohmann::json;
using testing::ScriptedService;
using testing::Submitted;
using testing::text_delta;

struct NoObserver final : GenerateObserver {
  void on_request(int status, Duration, Duration) override {
    gone += status == 499;
    failed += status >= 500;
  }
  void on_first_token(Duration) override {}
  void on_token_gap(Duration) override {}
  void on_usage(const tasks::Usage&) override {}
  std::atomic<int> gone{0}, failed{0};
};

struct LookUps final : cache::CacheObserver {
  void on_hit() override { ++hits; }
  void on_miss() override { ++misses; }
  void on_join() override { ++joins; }
  std::atomic<int> hits{0}, misses{0}, joins{0};
};

struct Served {
  Served() {
    routes.add("m", {.service = &service, .observer = &observer, .fingerprint = "fp_1"});
    routes.use_cache(cache);
    net::ServerOptions http;
    http.address = "127.0.0.1";
    http.port = 0;
    auto created = net::HttpServer::create(http, [this](std::shared_ptr<net::Exchange> plain) {
      routes.chat(around.traced(std::move(plain)));
    });
    EXPECT_TRUE(created.ok());
    server = std::move(*created);
    server->start();
  }
  ~Served() {
    server->stop();
    cache.close();
  }

  RawClient ask(std::string_view members = "", std::string_view header = "") {
    RawClient client(server->port());
    const std::string body =
        concat(R"({"model":"m","temperature":0,"messages":[{"role":"user","content":"hi"}])",
               members, "}");
    client.send(concat("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n", header,
                       "Content-Type: application/json\r\nContent-Length: ", body.size(),
                       "\r\n\r\n", body));
    return client;
  }
  // Everybody who asks now joins the request under way; there is nothing to wait for but time.
  static void let_them_join() { std::this_thread::sleep_for(std::chrono::milliseconds(500)); }

  testing::SmallModel model;
  ScriptedService service{model.view};
  SteadyClock clock;
  NoObserver observer;
  LookUps look_ups;
  TaskPool prep{"test-prep", 1, 100}, writers{"test-writer", 1, 100};
  cache::ResponseCache cache{
      {},
      std::make_shared<cache::MemoryCache>(cache::MemoryCacheOptions{}, clock),
      clock,
      look_ups};
  testing::Around around{clock};
  ChatRoutes routes{{}, around.gate, prep, writers, clock, observer, {}};
  std::unique_ptr<net::HttpServer> server;
};

void answer(const Submitted& call, const char* text) {
  call.stream->on_start(3);
  call.stream->on_delta(0, text_delta(text));
  call.stream->on_finish(0, tasks::FinishReason::kStop);
  call.stream->on_end(tasks::Usage{.prompt_tokens = 3, .completion_tokens = 2});
}

void expect_answer(const RawAnswer& got, const char* text, const char* word) {
  EXPECT_EQ(got.status, 200) << got.body;
  EXPECT_TRUE(got.has(concat("X-Cache: ", word, "\r\n"))) << got.head;
  EXPECT_EQ(json::parse(got.body)["choices"][0]["message"]["content"], text);
}

// The first is computed, those who come meanwhile join it, later ones find it; ids stay their own.
TEST(ChatCache, ComputesOnce) {
  Served served;
  auto first = served.ask();
  const Submitted call = served.service.take();
  auto second = served.ask(R"(,"user":"me")");
  auto third = served.ask();
  Served::let_them_join();
  answer(call, "Hello");
  const RawAnswer made = first.read();
  expect_answer(made, "Hello", "miss");
  const RawAnswer joined = second.read();
  expect_answer(joined, "Hello", "join");
  expect_answer(third.read(), "Hello", "join");
  const RawAnswer found = served.ask().read();
  expect_answer(found, "Hello", "hit");
  const auto without_stamp = [](const RawAnswer& got) {
    json body = json::parse(got.body);
    body.erase("created");
    body.erase("id");
    return body;
  };
  EXPECT_EQ(without_stamp(found), without_stamp(made));
  EXPECT_EQ(without_stamp(joined), without_stamp(made));
  EXPECT_NE(json::parse(found.body)["id"], json::parse(made.body)["id"]);
  EXPECT_EQ(served.look_ups.misses, 1);
  EXPECT_EQ(served.look_ups.joins, 2);
  EXPECT_EQ(served.look_ups.hits, 1);
}

// Requests that differ where it counts are computed each; those that are not certain pass by.
TEST(ChatCache, DoesNotShareWhatDiffers) {
  Served served;
  auto first = served.ask();
  answer(served.service.take(), "one");
  expect_answer(first.read(), "one", "miss");
  for (const char* members : {R"(,"max_tokens":5)", R"(,"stop":"x")"}) {
    auto client = served.ask(members);
    answer(served.service.take(), "two");
    expect_answer(client.read(), "two", "miss");
  }
  auto other = served.ask("", "Authorization: Bearer other\r\n");
  answer(served.service.take(), "three");
  expect_answer(other.read(), "three", "miss");
  for (const char* members : {R"(,"temperature":0.1)", R"(,"stream":true)"}) {
    auto client = served.ask(members);
    answer(served.service.take(), "four");
    const RawAnswer got = client.read();
    EXPECT_EQ(got.status, 200);
    EXPECT_FALSE(got.has("X-Cache")) << members;
  }
  EXPECT_EQ(served.look_ups.misses, 4);
}

// The leader's client leaves: its work ends, the next one computes, nobody is told.
TEST(ChatCache, ALeaderThatLeavesIsFollowed) {
  Served served;
  auto leader = served.ask();
  const Submitted given_up = served.service.take();
  auto second = served.ask();
  auto third = served.ask();
  Served::let_them_join();
  leader.close();
  given_up.cancelled->wait(false);
  const Submitted call = served.service.take();
  answer(call, "Hello");
  const RawAnswer one = second.read(), other = third.read();
  EXPECT_NE(one.has("X-Cache: miss"), other.has("X-Cache: miss"));
  expect_answer(one, "Hello", one.has("X-Cache: miss") ? "miss" : "join");
  expect_answer(other, "Hello", other.has("X-Cache: miss") ? "miss" : "join");
  EXPECT_EQ(served.observer.gone, 1);
  EXPECT_EQ(served.observer.failed, 0);
}

// One who joined and leaves is counted and costs the others nothing.
TEST(ChatCache, OneWhoJoinedMayLeave) {
  Served served;
  auto leader = served.ask();
  const Submitted call = served.service.take();
  auto joiner = served.ask();
  Served::let_them_join();
  joiner.close();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (served.observer.gone == 0 && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  EXPECT_EQ(served.observer.gone, 1);
  answer(call, "Hello");
  expect_answer(leader.read(), "Hello", "miss");
}

// What fails for all fails for all; a deadline is the leader's own.
TEST(ChatCache, OnlySharedErrorsAreShared) {
  Served served;
  auto leader = served.ask();
  const Submitted late = served.service.take();
  auto second = served.ask();
  auto third = served.ask();
  Served::let_them_join();
  late.stream->on_end(Error{Code::kDeadline, "too late"});
  EXPECT_EQ(leader.read().status, 504);
  served.service.take().stream->on_end(Error{Code::kOverloaded, "full"});
  EXPECT_EQ(second.read().status, 429);
  EXPECT_EQ(third.read().status, 429);
  auto next = served.ask();  // an error is not kept
  answer(served.service.take(), "Hello");
  expect_answer(next.read(), "Hello", "miss");
}

}  // namespace
}  // namespace sis::api
