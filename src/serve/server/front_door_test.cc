#include "serve/server/front_door.h"

#include <gtest/gtest.h>

#include <ctime>

#include "base/strings.h"
#include "serve/api/client.h"
#include "serve/server/settings_table.h"

namespace sis::server {
namespace {

// Answers as the HTTP server does: the companion sees the head and the end.
class FakeExchange final : public net::Exchange {
 public:
  net::HttpRequest& request() override { return request_; }
  void respond(net::HttpResponse response) override {
    if (request_.companion) {
      request_.companion->on_head(response);
      request_.companion->on_end();
    }
    answer = std::move(response);
  }
  void start_stream(net::HttpResponse) override {}
  bool write(std::string_view) override { return false; }
  void finish_stream() override {}
  void on_cancel(std::function<void()>) override {}
  bool cancelled() const override { return false; }
  void run_on_loop(std::function<void()> call) override {
    loop ? loop->push_back(std::move(call)) : call();
  }
  std::string header(std::string_view name) const {
    for (const auto& [key, value] : answer.headers)
      if (iequals(key, name)) return value;
    return "";
  }
  net::HttpResponse answer{.status = 0};
  std::vector<std::function<void()>>* loop = nullptr;  // null: the test is on the I/O thread

 private:
  net::HttpRequest request_;
};

using Headers = std::vector<std::pair<std::string, std::string>>;

class FrontDoorTest : public testing::Test, protected FrontDoorObserver {
 protected:
  void on_refusal(int status, Duration) override { refusals.push_back(status); }

  void use(std::vector<std::pair<std::string, std::string>> environment, bool mock = false) {
    const auto settings =
        Settings::load(settings_table(),
                       {.command_line = {}, .environment = std::move(environment), .folder = ""});
    ASSERT_TRUE(settings.ok());
    auto rules = load_access_rules(*settings, mock);
    ASSERT_TRUE(rules.ok()) << rules.error().message;
    door.set_rules(std::move(*rules));
  }
  std::shared_ptr<FakeExchange> ask(const std::string& path, const std::string& token = "",
                                    Headers headers = {}, const std::string& body = "",
                                    const std::string& peer = "10.9.8.7") {
    auto exchange = std::make_shared<FakeExchange>();
    exchange->request().method = body.empty() ? "GET" : "POST";
    exchange->request().path = path;
    exchange->request().body = body;
    exchange->request().peer = peer;
    exchange->request().headers = std::move(headers);
    if (!token.empty())
      exchange->request().headers.emplace_back("authorization", "Bearer " + token);
    door.handle(exchange);
    return exchange;
  }
  int status(const std::string& path, const std::string& token = "", Headers headers = {},
             const std::string& peer = "10.9.8.7") {
    return ask(path, token, std::move(headers), "", peer)->answer.status;
  }
  static std::string item(const std::string& name, const std::string& fields = "") {
    return concat("{name: ", name, ", sha256: ", admission::to_hex(admission::sha256(name)),
                  fields.empty() ? "" : ", ", fields, "}");
  }

  ManualClock clock;
  admission::LocalRateCounter counter{clock, 1000};
  std::vector<int> refusals;
  bool hold = false;  // passed requests stay unanswered, here
  std::vector<std::shared_ptr<net::Exchange>> held;
  FrontDoor door{counter, clock, *this, {}, [this](std::shared_ptr<net::Exchange> exchange) {
                   if (hold) return held.push_back(std::move(exchange));
                   exchange->respond({.body = std::string(api::client_name(exchange->request()))});
                 }};
};

TEST_F(FrontDoorTest, IsOpenWithoutKeys) {
  EXPECT_EQ(status("/v1/models"), 200);
  EXPECT_EQ(status("/v1/models", "whatever"), 200);
  EXPECT_EQ(ask("/v1/models")->request().companion, nullptr);  // nothing to remember
}

TEST_F(FrontDoorTest, WantsAKeyOnEveryRouteButTheOpenOnes) {
  use({{"API_KEYS", "[" + item("alice") + "]"}});
  for (const char* path : {"/", "/health", "/healthz", "/ready", "/readyz", "/live", "/livez",
                           "/metrics", "/metrics/", "/health/"})
    EXPECT_EQ(status(path), 200) << path;
  for (const char* path : {"/v1/models", "/v1/embeddings", "/nowhere", "/healthy", "//health",
                           "/health/x", "/metricsx", "", "/v1/../health", "/HEALTH"})
    EXPECT_EQ(status(path), 401) << path;
  const auto passed = ask("/v1/models", "alice");
  EXPECT_EQ(passed->answer.status, 200);
  EXPECT_EQ(passed->answer.body, "alice");
  const auto missing = ask("/v1/models");
  EXPECT_EQ(missing->header("WWW-Authenticate"), "Bearer");
  EXPECT_NE(missing->answer.body.find("invalid_api_key"), std::string::npos);
  const auto wrong = ask("/v1/models", "alicf");
  EXPECT_EQ(wrong->answer.status, 401);
  EXPECT_EQ(wrong->answer.body.find("alicf"), std::string::npos);
  EXPECT_EQ(refusals.back(), 401);
}

TEST_F(FrontDoorTest, RefusesHostileAuthorization) {
  use({{"API_KEYS", "[" + item("alice") + "]"}});
  EXPECT_EQ(status("/v1/models", "", {{"AUTHORIZATION", "bearer alice"}}), 200);
  const std::vector<Headers> hostile = {
      {{"Authorization", "alice"}},
      {{"Authorization", "Basic alice"}},
      {{"Authorization", "Bearer alice bob"}},
      {{"Authorization", "Bearer "}},
      {{"Authorization", ""}},
      {{"Authorization", "Bearer " + std::string(60000, 'a')}},
      {{"Authorization", std::string("Bearer alice\0", 13)}},
      {{"Authorization", "Bearer alice"}, {"authorization", "Bearer alice"}},
      {{"Authorization", "Bearer nobody"}, {"Authorization", "Bearer alice"}},
      {{"Authorization", "Bearer " + admission::to_hex(admission::sha256("alice"))}},
      {{"X-API-Key", "alice"}},
  };
  for (const Headers& headers : hostile) EXPECT_EQ(status("/v1/models", "", headers), 401);
}

TEST_F(FrontDoorTest, AnswersInTheWordsOfTheApi) {
  use({{"API_KEYS", "[" + item("alice") + "]"}, {"TRUTHGPT_API_TOKEN", "t0ken"}});
  EXPECT_TRUE(ask("/v1/models")->answer.body.starts_with(R"({"error":{"message":)"));
  EXPECT_TRUE(ask("/v1/infer")->answer.body.starts_with(R"({"error":"unauthenticated","detail":)"));
  EXPECT_TRUE(ask("/predict")->answer.body.starts_with(R"({"error":"unauthenticated","detail":)"));
  EXPECT_TRUE(ask("/v2/models/x/infer")->answer.body.starts_with(R"({"error":"no API key)"));
  EXPECT_TRUE(ask("/v2/rerank")->answer.body.starts_with(R"({"error":{"message":)"));
}

TEST_F(FrontDoorTest, KeysMayBeForSomeRoutesAndModelsAndForATime) {
  const int64_t now = std::time(nullptr);
  ASSERT_GT(now, 0);
  use({{"API_KEYS", concat("[", item("r", "routes: [/v1/models, '/v1/chat/*'], models: ['demo/*']"),
                           ",", item("old", "expires: 2020-01-01"), ",",
                           item("young", "expires: 2200-01-01"), "]")}});
  EXPECT_EQ(status("/v1/models", "r"), 200);
  EXPECT_EQ(status("/v1/models/", "r"), 200);
  EXPECT_EQ(status("/v1/chat/completions", "r"), 200);
  const auto refused = ask("/v1/embeddings", "r");
  EXPECT_EQ(refused->answer.status, 403);
  EXPECT_NE(refused->answer.body.find("permission_error"), std::string::npos);
  EXPECT_EQ(status("/v1/models", "young"), 200);
  EXPECT_EQ(status("/v1/models", "old"), 401);
  hold = true;
  ask("/v1/models", "r");
  const auto& request = held.back()->request();
  EXPECT_TRUE(api::check_client_model(request, "demo/chat").ok());
  const auto model = api::check_client_model(request, "other");
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, Code::kForbidden);
}

TEST_F(FrontDoorTest, MetricsMayHaveAKeyOfTheirOwn) {
  use({{"METRICS_API_KEY", "scrape"}, {"API_KEYS", "[" + item("alice") + "]"}});
  EXPECT_EQ(status("/metrics"), 401);
  EXPECT_EQ(status("/metrics", "alice"), 401);
  EXPECT_EQ(status("/metrics", "scrape"), 200);
  EXPECT_EQ(status("/v1/models", "scrape"), 401);
  EXPECT_EQ(status("/health"), 200);
}

TEST_F(FrontDoorTest, TheInferTokenOpensOnlyItsRoutes) {
  use({{"TRUTHGPT_API_TOKEN", "t0ken"}});
  EXPECT_EQ(status("/v1/embeddings"), 200);
  EXPECT_EQ(status("/v1/infer"), 401);
  EXPECT_EQ(status("/v1/infer/", ""), 401);
  EXPECT_EQ(status("/v1/infer/stream", "t0ken"), 200);
  use({{"TRUTHGPT_API_TOKEN", "t0ken"}, {"API_KEYS", "[" + item("alice") + "]"}});
  EXPECT_EQ(status("/v1/infer", "alice"), 200);
  EXPECT_EQ(status("/v1/embeddings", "t0ken"), 403);
}

// Whether they are on follows the rules of the moment: no reload leaves them open by mistake.
TEST_F(FrontDoorTest, TheInferRoutesAreOffWithoutAnythingThatGuardsThem) {
  use({});
  for (const char* path : {"/v1/infer", "/v1/infer/", "/v1/infer/stream"}) {
    const auto off = ask(path, "t0ken");
    EXPECT_EQ(off->answer.status, 404) << path;
    EXPECT_TRUE(off->answer.body.starts_with(R"({"error":"not_found","detail":)")) << path;
    EXPECT_NE(off->answer.body.find("TRUTHGPT_API_TOKEN"), std::string::npos);
  }
  EXPECT_EQ(status("/v1/inference"), 200);
  use({{"TRUTHGPT_API_TOKEN", "t0ken"}});
  EXPECT_EQ(status("/v1/infer", "t0ken"), 200);
  use({});
  EXPECT_EQ(status("/v1/infer", "t0ken"), 404);
  use({{"API_KEYS", "[" + item("alice") + "]"}});
  EXPECT_EQ(status("/v1/infer", "alice"), 200);
  use({{"MOCK", "1"}});  // in a file, but real models are served
  EXPECT_EQ(status("/v1/infer"), 404);
  use({}, /*mock=*/true);
  EXPECT_EQ(status("/v1/infer"), 200);
}

TEST_F(FrontDoorTest, LimitsEachClientAndSaysSo) {
  use({{"RATE_LIMIT_RPM", "2"}});
  const auto first = ask("/v1/models");
  EXPECT_EQ(first->header("x-ratelimit-limit-requests"), "2");
  EXPECT_EQ(first->header("x-ratelimit-remaining-requests"), "1");
  EXPECT_EQ(first->header("x-ratelimit-reset-requests"), "1m0s");
  EXPECT_EQ(first->header("x-ratelimit-limit-tokens"), "");
  clock.advance(std::chrono::milliseconds(20500));
  EXPECT_EQ(status("/v1/models"), 200);
  const auto refused = ask("/v1/models");
  EXPECT_EQ(refused->answer.status, 429);
  EXPECT_EQ(refused->header("Retry-After"), "40");
  EXPECT_EQ(refused->header("retry-after-ms"), "39500");
  EXPECT_EQ(refused->header("x-ratelimit-remaining-requests"), "0");
  EXPECT_NE(refused->answer.body.find("rate_limit_exceeded"), std::string::npos);
  EXPECT_EQ(refusals, std::vector<int>{429});
  EXPECT_EQ(status("/v1/models", "", {}, "10.9.8.8"), 200);
  EXPECT_EQ(status("/health"), 200);
  clock.advance(std::chrono::milliseconds(39500));
  EXPECT_EQ(status("/v1/models"), 200);
  EXPECT_EQ(status("/v1/models"), 429);
}

TEST_F(FrontDoorTest, AKeyIsOneClientWhereverItComesFrom) {
  use({{"API_KEYS", concat("[", item("a", "rpm: 1"), ",", item("b"), "]")}});
  EXPECT_EQ(status("/v1/models", "a"), 200);
  EXPECT_EQ(status("/v1/models", "a", {}, "1.1.1.1"), 429);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(status("/v1/models", "b"), 200);
}

TEST_F(FrontDoorTest, ForwardedAddressesCountOnlyBehindATrustedProxy) {
  use({{"RATE_LIMIT_RPM", "1"}, {"TRUSTED_PROXIES", "10.0.0.0/8"}});
  const auto from = [&](const std::string& peer, const std::string& forwarded) {
    return status("/v1/models", "", {{"X-Forwarded-For", forwarded}}, peer);
  };
  EXPECT_EQ(from("10.0.0.1", "1.1.1.1"), 200);
  EXPECT_EQ(from("10.0.0.2", "1.1.1.1"), 429);
  EXPECT_EQ(from("10.0.0.1", "2.2.2.2"), 200);
  EXPECT_EQ(from("10.0.0.1", "9.9.9.9, 2.2.2.2"), 429);
  EXPECT_EQ(from("8.8.8.8", "3.3.3.3"), 200);
  EXPECT_EQ(from("8.8.8.8", "4.4.4.4"), 429);  // nobody vouches for it
}

// Whoever guesses keys is slowed down; whoever has one from the same address is not.
TEST_F(FrontDoorTest, GuessesCountAgainstTheirAddress) {
  use({{"RATE_LIMIT_RPM", "3"}, {"API_KEYS", "[" + item("alice", "rpm: 100") + "]"}});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(status("/v1/models", concat("guess", i)), 401);
  EXPECT_EQ(status("/v1/models", "guess4"), 429);
  EXPECT_EQ(status("/v1/models", "alice"), 200);
}

// Answers when the test says so, as a counter does that asks over the network.
class SlowCounter final : public admission::RateCounter {
 public:
  explicit SlowCounter(const Clock& clock) : local_(clock, 1000) {}
  void take(const admission::RateClient& client, std::span<const admission::RateCharge> charges,
            Done done) override {
    local_.take(client, charges, [this, done](const admission::RateVerdict& verdict) {
      answers.push_back([done, verdict] { done(verdict); });
    });
  }
  void settle(const admission::RateClient&, const admission::RateWindow&,
              const admission::RateVerdict::Level&, int64_t, int64_t) override {}
  std::vector<std::function<void()>> answers;

 private:
  admission::LocalRateCounter local_;
};

// Whoever tells the verdict only tells it: routes and refusals run on the connection's thread.
TEST_F(FrontDoorTest, NothingRunsOnTheCountersThread) {
  SlowCounter slow(clock);
  std::vector<std::function<void()>> loop;
  int passed = 0;
  FrontDoor other(slow, clock, *this, {}, [&](std::shared_ptr<net::Exchange> exchange) {
    ++passed;
    exchange->respond({});
  });
  const auto settings = Settings::load(
      settings_table(), {.command_line = {},
                         .environment = {{"RATE_LIMIT_RPM", "1"}, {"METRICS_API_KEY", "scrape"}},
                         .folder = ""});
  ASSERT_TRUE(settings.ok());
  other.set_rules(std::move(*load_access_rules(*settings, /*mock=*/false)));
  std::vector<std::shared_ptr<FakeExchange>> asked;
  for (const char* path : {"/v1/models", "/v1/models", "/metrics"}) {
    asked.push_back(std::make_shared<FakeExchange>());
    asked.back()->loop = &loop;
    asked.back()->request().path = path;
    asked.back()->request().peer = "10.9.8.7";
    other.handle(asked.back());
  }
  ASSERT_EQ(slow.answers.size(), 3u);
  for (const auto& answer : slow.answers) answer();
  EXPECT_EQ(passed, 0);
  EXPECT_TRUE(refusals.empty());
  ASSERT_EQ(loop.size(), 3u);
  for (const auto& call : loop) call();
  EXPECT_EQ(passed, 1);
  EXPECT_EQ(refusals, (std::vector{429, 429}));
  EXPECT_EQ(asked[0]->answer.status, 200);
}

TEST_F(FrontDoorTest, TokensAreEstimatedAndSettled) {
  use({{"API_KEYS", "[" + item("a", "tokens_per_minute: 100") + "]"}});
  hold = true;
  const auto first = ask("/v1/embeddings", "a", {}, std::string(156, 'x'));  // thought to be 40
  ASSERT_EQ(held.size(), 1u);
  api::charge_client(first->request(), 10);
  api::charge_client(first->request(), 99);  // only the first counts
  first->respond({});
  EXPECT_EQ(first->header("x-ratelimit-limit-tokens"), "100");
  EXPECT_EQ(first->header("x-ratelimit-remaining-tokens"), "90");
  EXPECT_EQ(first->header("x-ratelimit-reset-tokens"), "1m0s");
  const auto failed = ask("/v1/embeddings", "a", {}, std::string(156, 'x'));
  failed->respond({.status = 400});  // costs nothing
  EXPECT_EQ(failed->header("x-ratelimit-remaining-tokens"), "90");
  const auto second = ask("/v1/embeddings", "a", {}, "x");
  api::charge_client(second->request(), 90);  // far more than was thought
  second->respond({});
  EXPECT_EQ(second->header("x-ratelimit-remaining-tokens"), "0");
  const auto third = ask("/v1/embeddings", "a", {}, "x");
  EXPECT_EQ(third->answer.status, 429);
  EXPECT_NE(third->answer.body.find("100 tokens per minute"), std::string::npos);
  EXPECT_EQ(ask("/v1/models", "a")->answer.status, 0);  // let through: it costs no tokens
  clock.advance(std::chrono::minutes(1));
  const auto huge = ask("/v1/embeddings", "a", {}, std::string(100000, 'x'));
  EXPECT_EQ(huge->answer.status, 0);  // an empty window lets anything in
}

// Leaving before the end is no way around the limit, and no way to pay less than was thought.
TEST_F(FrontDoorTest, TokensOfAnAnswerWithoutAnEndCount) {
  use({{"API_KEYS", "[" + item("a", "tokens_per_minute: 200") + "]"}});
  hold = true;
  const auto left = [&] {
    const auto probe = ask("/v1/embeddings", "a", {}, "x");
    api::charge_client(probe->request(), 0);
    probe->respond({});
    return probe->header("x-ratelimit-remaining-tokens");
  };
  const std::string body(156, 'x');  // thought to be 40
  api::charge_client_so_far(ask("/v1/chat/completions", "a", {}, body)->request(), 90);
  EXPECT_EQ(left(), "110");
  const auto early = ask("/v1/chat/completions", "a", {}, body);
  api::charge_client_so_far(early->request(), 3);
  api::charge_client(early->request(), 0);  // too late: the estimate stands
  EXPECT_EQ(left(), "70");
}

TEST_F(FrontDoorTest, CountsRequestsInProgress) {
  use({{"API_KEYS", "[" + item("a", "concurrent: 2") + "]"}});
  hold = true;
  const auto one = ask("/v1/models", "a"), two = ask("/v1/models", "a");
  EXPECT_EQ(ask("/v1/models", "a")->answer.status, 429);
  one->respond({});  // the place is free before the answer's last byte is sent
  ask("/v1/models", "a");
  EXPECT_EQ(held.size(), 3u);
  EXPECT_EQ(ask("/v1/models", "a")->answer.status, 429);
  held.erase(held.begin() + 2);  // dropped unanswered, as when the client went away
  ask("/v1/models", "a");
  EXPECT_EQ(held.size(), 3u);
  EXPECT_EQ(two->answer.status, 0);
}

TEST_F(FrontDoorTest, NewRulesKeepWhatWasUsed) {
  use({{"RATE_LIMIT_RPM", "5"}});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(status("/v1/models"), 200);
  use({{"RATE_LIMIT_RPM", "6"}});
  EXPECT_EQ(status("/v1/models"), 200);
  EXPECT_EQ(status("/v1/models"), 429);
  use({});
  EXPECT_EQ(status("/v1/models"), 200);
}

TEST_F(FrontDoorTest, AFloodOfAddressesIsBounded) {
  use({{"RATE_LIMIT_RPM", "2"}});
  for (int i = 0; i < 10000; ++i)
    ASSERT_EQ(status("/v1/models", "", {}, concat("10.1.", i / 250, ".", i % 250)), 200);
  EXPECT_EQ(counter.addresses(), 1000u);
}

}  // namespace
}  // namespace sis::server
