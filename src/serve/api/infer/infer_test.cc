// The routes over real HTTP, with a service whose answers each test speaks itself.
#include "serve/api/infer/infer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "net/raw_client.h"
#include "serve/api/client.h"
#include "serve/api/openai/chat_fixture.h"
#include "serve/cache/memory_cache.h"

namespace sis::api {
namespace {

using net::testing::post;
using net::testing::RawAnswer;
using net::testing::RawClient;
using nlohmann::json;
using tasks::FinishReason;
using tasks::Usage;
using testing::ScriptedService;
using testing::Submitted;
using testing::text_delta;

class Counts final : public GenerateObserver {
 public:
  void on_request(int status, Duration, Duration) override {
    const std::lock_guard lock(mutex_);
    statuses_.push_back(status);
    wake_.notify_all();
  }
  void on_first_token(Duration) override {}
  void on_token_gap(Duration) override {}
  void on_usage(const Usage&) override {}
  std::vector<int> statuses(size_t count) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, std::chrono::seconds(20), [&] { return statuses_.size() >= count; });
    return statuses_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<int> statuses_;
};

struct Served {
  explicit Served(InferOptions options = {})
      : routes(options, around.gate, prep, writers, clock, unknown, {}) {
    routes.use_cache(cache);
    routes.add("m", {.service = &service, .observer = &counts, .breaker = &breaker});
    routes.add("embed", {.observer = &counts});
    net::ServerOptions http;
    http.address = "127.0.0.1";
    http.port = 0;
    auto created = net::HttpServer::create(http, [this](std::shared_ptr<net::Exchange> plain) {
      auto exchange = around.traced(std::move(plain));
      exchange->request().companion = client_of_all;
      if (exchange->request().path == "/v1/infer/stream")
        routes.stream(std::move(exchange));
      else
        routes.infer(std::move(exchange));
    });
    EXPECT_TRUE(created.ok());
    server = std::move(*created);
    server->start();
  }
  ~Served() {
    server->stop();
    cache.close();
  }
  RawClient client() { return RawClient(server->port()); }

  testing::SmallModel model;
  ScriptedService service{model.view};
  SteadyClock clock;
  admission::Breaker breaker{"m", {.failures_max = 2, .open_time = std::chrono::hours(1)}, clock};
  Counts counts, unknown;
  TaskPool prep{"test-prep", 1, 100}, writers{"test-writer", 1, 100};
  struct : cache::CacheObserver {
    void on_hit() override {}
    void on_miss() override {}
    void on_join() override {}
  } look_ups;
  cache::ResponseCache cache{
      {},
      std::make_shared<cache::MemoryCache>(cache::MemoryCacheOptions{}, clock),
      clock,
      look_ups};
  testing::Around around{clock};
  std::shared_ptr<net::Companion> client_of_all;  // as the front door leaves it; shared as there
  InferRoutes routes;
  std::unique_ptr<net::HttpServer> server;
};

std::string infer(std::string_view members = "", const char* path = "/v1/infer") {
  return post(path,
              concat(R"({"model":"m","prompt":"hi")", members.empty() ? "" : ",", members, "}"));
}

void say(const Submitted& call, std::vector<std::string> texts, FinishReason reason) {
  call.stream->on_start(3);
  for (auto& text : texts) call.stream->on_delta(0, text_delta(std::move(text)));
  call.stream->on_finish(0, reason);
  call.stream->on_end(Usage{.prompt_tokens = 3, .completion_tokens = 2});
}

TEST(InferRoute, AnswersWhole) {
  Served served;
  auto client = served.client();
  client.send(infer());
  say(served.service.take(), {"Hel", "lo \"you\""}, FinishReason::kStop);
  const RawAnswer answer = client.read();
  ASSERT_EQ(answer.status, 200);
  const json body = json::parse(answer.body);
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["output"], "Hello \"you\"");
  EXPECT_EQ(body["cached"], false);
  EXPECT_GT(body["latency_ms"], 0);
  EXPECT_EQ(body["usage"]["prompt_tokens"], 3);
  EXPECT_EQ(body["usage"]["total_tokens"], 5);
  EXPECT_EQ(body.size(), 6u) << answer.body;
  EXPECT_TRUE(answer.has(concat("X-Request-ID: ", body["id"].get<std::string>()))) << answer.head;
  EXPECT_TRUE(std::regex_search(answer.head, std::regex("X-Response-Time: [0-9]+\\.[0-9]{2}\r")))
      << answer.head;
  EXPECT_EQ(served.counts.statuses(1), std::vector{200});
}

TEST(InferRoute, StreamsTokensAndEndsWithDone) {
  Served served;
  auto client = served.client();
  client.send(infer("", "/v1/infer/stream"));
  say(served.service.take(), {"Hel\n", "lo"}, FinishReason::kLength);
  const RawAnswer answer = client.read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.complete);
  EXPECT_TRUE(answer.has("Content-Type: text/event-stream")) << answer.head;
  EXPECT_TRUE(answer.has("Cache-Control: no-cache")) << answer.head;
  EXPECT_TRUE(answer.has("X-Response-Time: ")) << answer.head;
  EXPECT_EQ(answer.body,
            "event: token\ndata: {\"text\":\"Hel\\n\",\"finish_reason\":null}\n\n"
            "event: token\ndata: {\"text\":\"lo\",\"finish_reason\":null}\n\n"
            "event: token\ndata: {\"text\":\"\",\"finish_reason\":\"length\"}\n\n"
            "event: done\ndata: {}\n\n");
}

// What goes wrong inside is told as such, without its words, whole and in the middle of a stream.
TEST(InferRoute, FailuresAreGeneric) {
  Served served;
  auto client = served.client();
  client.send(infer());
  served.service.take().stream->on_end(Error{Code::kInternal, "secret \"words\""});
  const RawAnswer answer = client.read();
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(json::parse(answer.body)["error"], "internal_error");
  EXPECT_EQ(answer.body.find("secret"), std::string::npos);
  EXPECT_TRUE(answer.has("X-Response-Time: "));

  client.send(infer("", "/v1/infer/stream"));
  const Submitted call = served.service.take();
  call.stream->on_start(3);
  call.stream->on_delta(0, text_delta("a"));
  ASSERT_TRUE(client.read_some());
  call.stream->on_end(Error{Code::kDeadline, "no \"whole\" answer"});
  const RawAnswer events = client.read();
  EXPECT_EQ(events.status, 200);
  EXPECT_TRUE(
      events.body.ends_with("event: error\ndata: {\"error\":\"no \\\"whole\\\" answer\"}\n\n"))
      << events.body;
  // Before the first token there is no stream yet, so the status still tells.
  client.send(infer("", "/v1/infer/stream"));
  served.service.take().stream->on_end(Error{Code::kOverloaded, "full"});
  EXPECT_EQ(client.read().status, 429);
}

TEST(InferRoute, RefusesInItsOwnWords) {
  Served served;
  auto client = served.client();
  const auto answer = [&](const std::string& request) {
    client.send(request);
    const RawAnswer got = client.read();
    const json body = json::parse(got.body);
    EXPECT_EQ(body.size(), 2u) << got.body;
    return concat(got.status, " ", body["error"].get<std::string>());
  };
  EXPECT_EQ(answer(post("/v1/infer", "{")), "422 validation_error");
  EXPECT_EQ(answer(post("/v1/infer", R"({"model":"m"})")), "422 validation_error");
  EXPECT_EQ(answer(post("/v1/infer", R"({"model":"x","prompt":"a"})")), "404 model_not_found");
  EXPECT_EQ(answer(post("/v1/infer", R"({"model":"embed","prompt":"a"})")), "422 validation_error");
  EXPECT_EQ(answer(infer(R"("params":{"top_p":3})")), "422 validation_error");
  served.service.refusal = Error{Code::kOverloaded, "full"};
  EXPECT_EQ(answer(infer()), "429 overloaded");
  served.service.refusal = Error{Code::kInternal, "broken"};
  EXPECT_EQ(answer(infer()), "500 internal_error");
  EXPECT_EQ(answer(infer("", "/v1/infer/stream")), "500 internal_error");
  // The second failure in a row has opened the breaker.
  client.send(infer());
  const RawAnswer refused = client.read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(json::parse(refused.body)["error"], "circuit_open");
  EXPECT_TRUE(refused.has("Retry-After: 3600")) << refused.head;
}

// A client with so many requests left.
struct LimitedClient final : Client {
  const std::string& name() const override { return name_; }
  int priority() const override { return 0; }
  Status check_model(const std::string&) const override { return {}; }
  bool may_see_model(std::string_view) const override { return true; }
  void admit(std::function<void(const Error*)> done) override {
    if (left-- > 0) return done(nullptr);
    const Error error{Code::kRateLimited, "too many", "", "rate_limit_exceeded",
                      std::chrono::minutes(3)};
    done(&error);
  }
  void used_tokens(int64_t) override {}
  void used_tokens_so_far(int64_t) override {}
  void on_head(net::HttpResponse&) override {}
  void on_end() override {}
  std::atomic<int> left{1};

 private:
  const std::string name_;
};

// What is wrong with a request is told before that there are too many of them, and costs nothing;
// before everything else comes the limit. Only a body too large to be read at once has to wait.
TEST(InferRoute, TheLimitComesAfterTheBody) {
  Served served;
  const auto limited = std::make_shared<LimitedClient>();
  served.client_of_all = limited;
  auto client = served.client();
  const auto answer = [&](const std::string& request) {
    client.send(request);
    return client.read();
  };
  const std::string invalid = infer(R"("params":{"top_p":3})");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(answer(invalid).status, 422);
  EXPECT_EQ(limited->left, 1);
  client.send(infer(R"("idempotency_key":"k")"));
  say(served.service.take(), {"a"}, FinishReason::kStop);
  EXPECT_EQ(client.read().status, 200);
  EXPECT_EQ(answer(invalid).status, 422);
  EXPECT_EQ(answer(post("/v1/infer", R"({"model":"x","prompt":"a"})")).status, 404);
  for (const std::string& request :
       {infer(R"("idempotency_key":"k")"), infer("", "/v1/infer/stream")}) {
    const RawAnswer refused = answer(request);
    EXPECT_EQ(refused.status, 429);
    EXPECT_EQ(json::parse(refused.body)["error"], "rate_limit_exceeded");
    EXPECT_TRUE(refused.has("Retry-After: 180")) << refused.head;
    EXPECT_TRUE(refused.has("x-should-retry: false")) << refused.head;
  }
  const std::string large =
      infer(concat(R"("params":{"top_p":3},"x":")", std::string(20000, 'x'), "\""));
  EXPECT_EQ(answer(large).status, 429);
  limited->left = 1;
  EXPECT_EQ(answer(large).status, 422);
  EXPECT_EQ(limited->left, 0);
}

TEST(InferRoute, IdempotencyKeys) {
  Served served;
  auto client = served.client(), second = served.client();
  const std::string request = infer(R"("idempotency_key":"k")");
  client.send(request);
  const Submitted call = served.service.take();
  second.send(request);
  RawAnswer answer = second.read();
  EXPECT_EQ(answer.status, 409);
  EXPECT_TRUE(answer.has("Retry-After: 1")) << answer.head;
  second.send(infer(R"("params":{"seed":1},"idempotency_key":"k")"));
  EXPECT_EQ(second.read().status, 422);
  say(call, {"once"}, FinishReason::kStop);
  answer = client.read();
  ASSERT_EQ(answer.status, 200);
  const json first = json::parse(answer.body);

  client.send(request);  // the service has nothing to take: answered from memory
  answer = client.read();
  ASSERT_EQ(answer.status, 200);
  const json again = json::parse(answer.body);
  EXPECT_EQ(again["output"], "once");
  EXPECT_EQ(again["usage"], first["usage"]);
  EXPECT_EQ(again["cached"], true);
  EXPECT_NE(again["id"], first["id"]);
  EXPECT_TRUE(answer.has(concat("X-Request-ID: ", again["id"].get<std::string>())));
  EXPECT_TRUE(answer.has("Idempotent-Replayed: true")) << answer.head;

  // A failure frees its key.
  client.send(infer(R"("idempotency_key":"f")"));
  served.service.take().stream->on_end(Error{Code::kDeadline, "late"});
  EXPECT_EQ(client.read().status, 504);
  client.send(infer(R"("params":{"seed":2},"idempotency_key":"f")"));
  say(served.service.take(), {"now"}, FinishReason::kStop);
  EXPECT_EQ(client.read().status, 200);
}

// An answer from the response cache belongs to its key as a computed one does.
TEST(InferRoute, IdempotencyKeysOfCachedAnswers) {
  Served served;
  auto client = served.client();
  const auto ask = [&](std::string_view params, std::string_view key) {
    client.send(infer(concat(R"("params":{"temperature":0)", params, "}", key)));
  };
  ask("", "");
  say(served.service.take(), {"certain"}, FinishReason::kStop);
  EXPECT_EQ(client.read().status, 200);
  constexpr const char* kKey = R"(,"idempotency_key":"k")";
  ask("", kKey);  // nothing to take: the cache answers
  RawAnswer answer = client.read();
  EXPECT_TRUE(answer.has("X-Cache: hit")) << answer.head;
  EXPECT_EQ(json::parse(answer.body)["output"], "certain");
  ask("", kKey);
  answer = client.read();
  EXPECT_TRUE(answer.has("Idempotent-Replayed: true")) << answer.head;
  EXPECT_EQ(json::parse(answer.body)["output"], "certain");
  ask(R"(,"seed":1)", kKey);
  EXPECT_EQ(client.read().status, 422);
}

TEST(InferRoute, ALeavingClientCancels) {
  Served served;
  Submitted call;
  {
    auto client = served.client();
    client.send(infer("", "/v1/infer/stream"));
    call = served.service.take();
    call.stream->on_start(3);
    call.stream->on_delta(0, text_delta("a"));
    ASSERT_TRUE(client.read_some());
  }
  call.cancelled->wait(false);
  EXPECT_EQ(served.counts.statuses(1), std::vector{499});
}

}  // namespace
}  // namespace sis::api
