// The route over real HTTP on a wall clock that the tests turn.
#include "serve/api/webhook/webhook.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/raw_client.h"
#include "serve/api/webhook/webhook_signature.h"

namespace sis::api {
namespace {

using net::testing::RawAnswer;
using net::testing::RawClient;
using nlohmann::json;

constexpr const char* kSecret = "not a placeholder";
constexpr const char* kBody =
    R"({"type":"model.updated","id":"evt_1","timestamp":1000,"payload":{"b":[1,2.5],"a":"é"}})";

// Recorded with Python's hmac.
TEST(WebhookSignature, IsHmacSha256) {
  EXPECT_EQ(webhook_signature("Jefe", "what do ya want for nothing?", ""),
            "38c6c848e5a2f57451f5095df6370d5c9b83175b99df46422b34960c28def6ae");
}

TEST(WebhookSignature, TakesRawBytesAndSortedKeys) {
  std::string padded = kBody;
  padded.resize(padded.size() + 64);
  const std::string_view body(padded.data(), padded.size() - 64);
  const auto matches = [&](const std::string& given) {
    return webhook_signature_matches(kSecret, "7", body, given);
  };
  const std::string raw = webhook_signature(kSecret, "7", body);
  EXPECT_TRUE(matches(raw));
  EXPECT_TRUE(matches("sha256=" + raw));
  std::string upper = raw;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_TRUE(matches(upper));
  // json.dumps(document, sort_keys=True), with and without spaces.
  EXPECT_TRUE(matches(
      webhook_signature(kSecret, "7",
                        "{\"id\": \"evt_1\", \"payload\": {\"a\": \"\\u00e9\", \"b\": [1, 2.5]}, "
                        "\"timestamp\": 1000, \"type\": \"model.updated\"}")));
  EXPECT_TRUE(matches(webhook_signature(
      kSecret, "7",
      "{\"id\":\"evt_1\",\"payload\":{\"a\":\"\\u00e9\",\"b\":[1,2.5]},\"timestamp\":1000,"
      "\"type\":\"model.updated\"}")));
  // A larger one is signed as it comes.
  std::string large = R"({"b": 1, "a": ")" + std::string(kSortedBytesMax, 'x') + "\"}";
  const std::string large_sorted =
      R"({"a": ")" + std::string(kSortedBytesMax, 'x') + R"(", "b": 1})";
  const std::string large_raw = webhook_signature(kSecret, "7", large),
                    by_sorted = webhook_signature(kSecret, "7", large_sorted);
  large.reserve(large.size() + 64);
  EXPECT_TRUE(webhook_signature_matches(kSecret, "7", large, large_raw));
  EXPECT_FALSE(webhook_signature_matches(kSecret, "7", large, by_sorted));
  EXPECT_FALSE(matches(webhook_signature(kSecret, "8", body)));
  EXPECT_FALSE(matches(webhook_signature("another", "7", body)));
  EXPECT_FALSE(matches(raw.substr(1)));
  EXPECT_FALSE(matches(raw + "0"));
  EXPECT_FALSE(matches(""));
}

TEST(WebhookSignature, TimesAreNear) {
  const auto fault = [](std::string_view timestamp) {
    const auto status = check_webhook_time(timestamp, 1000, 300);
    return status.ok() ? std::string() : status.error().message;
  };
  EXPECT_EQ(fault("1000"), "");
  EXPECT_EQ(fault("700"), "");
  EXPECT_EQ(fault("1300.0"), "");
  EXPECT_NE(fault("699"), "");
  EXPECT_NE(fault("1301"), "");
  for (const char* bad : {"", "now", "1e400", "nan", "inf", "-inf", "1000x", " 1000"})
    EXPECT_NE(fault(bad), "") << bad;
}

struct Served {
  explicit Served(std::string secret = kSecret)
      : route(
            {.secret = std::move(secret),
             .idempotency = {.ttl = std::chrono::hours(1), .entries_max = 100},
             .body_bytes_max = 100000},
            prep, clock, [this] { return now.load(); },
            [this](const char* result) {
              const std::lock_guard lock(mutex);
              ++results[result];
            },
            {}) {
    net::ServerOptions http;
    http.address = "127.0.0.1";
    http.port = 0;
    auto created = net::HttpServer::create(http, [this](std::shared_ptr<net::Exchange> exchange) {
      route.ingest(std::move(exchange));
    });
    EXPECT_TRUE(created.ok());
    server = std::move(*created);
    server->start();
  }
  ~Served() { server->stop(); }

  RawAnswer send(const std::string& body, const std::string& headers) {
    RawClient client(server->port());
    client.send(concat("POST /webhooks/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: ", body.size(),
                       "\r\n", headers, "\r\n", body));
    return client.read();
  }
  RawAnswer send_signed(const std::string& body, const std::string& more = "") {
    return send(body, concat("X-Timestamp: 1000\r\nX-Signature: ",
                             webhook_signature(kSecret, "1000", body), "\r\n", more));
  }
  std::map<std::string, int> counted() {
    const std::lock_guard lock(mutex);
    return results;
  }

  SteadyClock clock;
  std::atomic<double> now{1010};
  std::mutex mutex;
  std::map<std::string, int> results;
  TaskPool prep{"test-prep", 1, 100};
  WebhookRoute route;
  std::unique_ptr<net::HttpServer> server;
};

TEST(WebhookRoute, AcknowledgesAndDeduplicates) {
  Served served;
  const RawAnswer first = served.send_signed(kBody, "Idempotency-Key: a\r\n");
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(json::parse(first.body),
            (json{{"success", true}, {"id", "evt_1"}, {"received_at", "1970-01-01T00:16:50Z"}}));
  served.now = 1020;
  const RawAnswer again = served.send_signed(kBody, "Idempotency-Key: a\r\n");
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(served
                .send_signed(R"({"id":"x","type":"t","timestamp":1,"payload":{}})",
                             "Idempotency-Key: a\r\n")
                .status,
            422);
  // Signed anew under its key: the same event, also when it is sent once more without the key.
  const std::string anew = concat(
      "X-Timestamp: 1005\r\nX-Signature: ", webhook_signature(kSecret, "1005", kBody), "\r\n");
  EXPECT_EQ(served.send(kBody, anew + "Idempotency-Key: a\r\n").body, first.body);
  EXPECT_EQ(served.send(kBody, anew).body, first.body);
  EXPECT_EQ(served.counted(),
            (std::map<std::string, int>{{"accepted", 1}, {"duplicate", 3}, {"invalid", 1}}));
}

// Nothing that is not signed makes another event of one: not a key, not the signature's spelling,
// not the white space of a document that is signed by its sorted form.
TEST(WebhookRoute, TakesWhatWasSignedOnce) {
  Served served;
  const std::string sorted =
      R"({"id": "evt_1", "payload": {}, "timestamp": 1000, "type": "model.updated"})";
  const std::string digits = webhook_signature(kSecret, "1000", sorted);
  std::string upper = digits;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  const auto send = [&](const std::string& body, const std::string& spelled,
                        const std::string& more = "") {
    return served.send(body, concat("X-Timestamp: 1000\r\nX-Signature: ", spelled, "\r\n", more));
  };
  const RawAnswer first = send(sorted, "sha256=" + digits);
  ASSERT_EQ(first.status, 200) << first.body;
  served.now = 1100;
  for (const RawAnswer& again :
       {send(sorted, digits), send(sorted, upper), send(sorted, "sha256=" + upper),
        send(sorted, digits, "Idempotency-Key: mine\r\n"), send(sorted + "\n", digits)}) {
    EXPECT_EQ(again.status, 200) << again.body;
    EXPECT_EQ(again.body, first.body);
  }
  EXPECT_EQ(served.counted(), (std::map<std::string, int>{{"accepted", 1}, {"duplicate", 5}}));
  // A key that came with a replay only is nobody's yet.
  EXPECT_EQ(served.send_signed(kBody, "Idempotency-Key: mine\r\n").status, 200);
  EXPECT_EQ(served.counted()["accepted"], 2);
}

TEST(WebhookRoute, RefusesWhatIsNotGenuine) {
  Served served;
  const std::string good = webhook_signature(kSecret, "1000", kBody);
  EXPECT_EQ(served.send(kBody, "").status, 401);
  EXPECT_EQ(served.send(kBody, "X-Timestamp: 1000\r\n").status, 401);
  EXPECT_EQ(served.send(kBody, "X-Signature: " + good + "\r\n").status, 401);
  EXPECT_EQ(served.send(kBody, "X-Timestamp: 1001\r\nX-Signature: " + good + "\r\n").status, 401);
  EXPECT_EQ(served
                .send(concat(kBody, " "), "X-Timestamp: 1000\r\nX-Signature: " +
                                              webhook_signature(kSecret, "1000", "other") + "\r\n")
                .status,
            401);
  served.now = 1301;
  EXPECT_EQ(served.send_signed(kBody).status, 401);
  EXPECT_EQ(served.counted(), (std::map<std::string, int>{{"unauthorized", 6}}));
}

TEST(WebhookRoute, SignedNonsenseIsStillRefused) {
  Served served;
  for (const char* body : {"", "{", "[]", R"({"type":"t","payload":{},"timestamp":1})",
                           R"({"id":7,"type":"t","payload":{},"timestamp":1})",
                           R"({"id":"i","type":"","payload":{},"timestamp":1})",
                           R"({"id":"i","type":"t","payload":[],"timestamp":1})",
                           R"({"id":"i","type":"t","payload":{}})"}) {
    const RawAnswer answer = served.send_signed(body);
    EXPECT_EQ(answer.status, 422) << body;
    EXPECT_EQ(json::parse(answer.body)["error"], "validation_error") << body;
  }
  const std::string deep(5000, '[');
  EXPECT_EQ(served.send_signed(R"({"id":)" + deep).status, 422);
  EXPECT_EQ(served.send_signed(std::string(100001, ' ')).status, 413);
  // A large body is checked on the pool, and is taken.
  const std::string large = R"({"id":"i","type":"t","timestamp":"x","payload":{"a":")" +
                            std::string(50000, 'a') + R"("}})";
  EXPECT_EQ(served.send_signed(large).status, 200);
}

TEST(WebhookRoute, WithoutASecretNothingIsGenuine) {
  Served served("");
  const RawAnswer answer = served.send_signed(kBody);
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.body.find("WEBHOOK_HMAC_SECRET"), std::string::npos);
  EXPECT_EQ(served.counted(), (std::map<std::string, int>{{"refused", 1}}));
}

}  // namespace
}  // namespace sis::api
