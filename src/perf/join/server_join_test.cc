// A join finds the page it can read, scrapes while a run goes on, and never stands in the way.
#include "perf/join/server_join.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/http_client_test_server.h"

namespace sis::perf {
namespace {

net::Url url_of(const net::ScriptedServer& server) { return *net::parse_url(server.url()); }

TEST(ServerJoin, ScrapesBeforeWhileAndAfter) {
  std::atomic<int> requests{0};
  net::ScriptedServer server([&](net::ScriptedServer::Peer& peer) {
    const std::string request = peer.read_request();
    EXPECT_TRUE(request.starts_with("GET /metrics ")) << request;
    peer.send(net::plain_answer(concat("inference_requests_total ", 100 * ++requests, "\n")));
  });
  ServerJoin join({.url = url_of(server), .every = from_ms(20)});
  while (requests < 5) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const auto json = join.end();
  EXPECT_EQ(json["kind"], "sis");
  EXPECT_GE(json["scrapes"], 6);
  EXPECT_EQ(json["requests"].get<double>(), 100.0 * (json["scrapes"].get<int>() - 1));
  EXPECT_FALSE(json.contains("error"));
}

// A warm-up's requests are the server's, but not the run's.
TEST(ServerJoin, BeginsAgainAfterAWarmUp) {
  std::atomic<int> requests{5};
  std::atomic<bool> broken{false};
  net::ScriptedServer server([&](net::ScriptedServer::Peer& peer) {
    if (peer.read_request().empty()) return;
    peer.send(broken
                  ? net::plain_answer("busy", 503)
                  : net::plain_answer(concat("inference_requests_total ", requests.load(),
                                             "\nchat_running_sequences ", requests.load(), "\n")));
  });
  ServerJoin join({.url = url_of(server)});
  requests = 105;
  join.begin_again();
  requests = 108;
  auto json = join.end();
  EXPECT_EQ(json["requests"], 3);
  EXPECT_EQ(json["scrapes"], 2);
  EXPECT_EQ(json["running"], 106.5);
  EXPECT_FALSE(json.contains("error")) << json;

  // Without that scrape the figures hold more than the run, and are not passed off as it.
  requests = 5;
  ServerJoin unlucky({.url = url_of(server)});
  requests = 105;
  broken = true;
  unlucky.begin_again();
  broken = false;
  requests = 108;
  json = unlucky.end();
  EXPECT_EQ(json["requests"], 103);
  EXPECT_NE(json["error"].get<std::string>().find("the figures include the warm-up"),
            std::string::npos)
      << json;

  // Nothing known before, nothing asked again.
  const int before = server.requests();
  ServerJoin off({.url = url_of(server), .metrics = "off"});
  off.begin_again();
  EXPECT_TRUE(off.end().empty());
  EXPECT_EQ(server.requests(), before);
}

TEST(ServerJoin, FallsBackToKServeStatistics) {
  std::atomic<int> count{0};
  net::ScriptedServer server([&](net::ScriptedServer::Peer& peer) {
    const std::string request = peer.read_request();
    if (request.starts_with("GET /v2/models/a%20b/stats ")) {
      count += 10;
      peer.send(net::plain_answer(concat(
          R"({"model_stats":[{"name":"a b","version":"1","inference_count":)", count.load(),
          R"(,"execution_count":)", count.load() / 2, R"(,"inference_stats":{"success":{"count":)",
          count.load(), R"(,"ns":)", count.load() * 5'000'000LL, "}}}]}")));
    } else {
      peer.send(net::plain_answer("{}", 404));
    }
  });
  ServerJoin join({.url = url_of(server), .model = "a b"});
  join.begin_again();
  const auto json = join.end();
  EXPECT_EQ(json["kind"], "kserve");
  EXPECT_EQ(json["scrapes"], 2);
  EXPECT_EQ(json["requests"], 10);
  EXPECT_EQ(json["request_ms"], 5);
  EXPECT_EQ(json["batch_size"], 2);
}

TEST(ServerJoin, SaysNothingUnasked) {
  net::ScriptedServer server([](net::ScriptedServer::Peer& peer) {
    if (!peer.read_request().empty()) peer.send(net::plain_answer("something_else 1\n"));
  });
  EXPECT_TRUE(ServerJoin({.url = url_of(server)}).end().empty());
  const auto asked = ServerJoin({.url = url_of(server), .metrics = server.url()}).end();
  EXPECT_NE(asked["error"].get<std::string>().find("none of its 1 samples"), std::string::npos);
  const int before = server.requests();
  EXPECT_TRUE(ServerJoin({.url = url_of(server), .metrics = "off"}).end().empty());
  EXPECT_EQ(server.requests(), before);

  // A server that is gone, and one that is silent.
  EXPECT_TRUE(ServerJoin({.url = *net::parse_url("http://127.0.0.1:1")}).end().empty());
  net::ScriptedServer silent([](net::ScriptedServer::Peer& peer) { peer.wait_for_close(); });
  ServerJoin join({.url = url_of(silent), .metrics = silent.url(), .timeout = from_ms(100)});
  EXPECT_TRUE(join.end().contains("error"));
}

// The key of the measured server does not travel to a metrics server elsewhere.
TEST(ServerJoin, KeepsKeysAtHome) {
  std::string seen;
  net::ScriptedServer elsewhere([&](net::ScriptedServer::Peer& peer) {
    seen += peer.read_request();
    peer.send(net::plain_answer("inference_requests_total 1\n"));
  });
  ServerJoin({.url = *net::parse_url("http://127.0.0.1:1"),
              .metrics = elsewhere.url(),
              .headers = {{"Authorization", "Bearer secret"}}})
      .end();
  EXPECT_NE(seen.find("GET /metrics"), std::string::npos);
  EXPECT_EQ(seen.find("secret"), std::string::npos);
}

TEST(ServerJoin, ChecksItsFlag) {
  EXPECT_TRUE(check_join_target("").ok());
  EXPECT_TRUE(check_join_target("off").ok());
  EXPECT_TRUE(check_join_target("http://localhost:8002/metrics").ok());
  EXPECT_FALSE(check_join_target("localhost").ok());
}

}  // namespace
}  // namespace sis::perf
