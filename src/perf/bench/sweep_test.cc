// Whole commands over several levels, with stages, traces and stop rules, against scripted servers.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/http_client_test_server.h"
#include "perf/bench/bench_fixture.h"

namespace sis::perf {
namespace {

using net::plain_answer;
using net::ScriptedServer;

void answer_all(ScriptedServer::Peer& peer) {
  while (!peer.read_request().empty())
    if (!peer.send(plain_answer("ok"))) return;
}

Output http(const ScriptedServer& server, std::vector<std::string> more) {
  std::vector<std::string> arguments = {"http", server.url() + "/"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return bench_with(arguments);
}

TEST(Sweep, ARunForEachLevelAndATable) {
  ScriptedServer server(answer_all);
  const Output output =
      http(server, {"--concurrency", "1,2:4:2", "--n-requests", "40", "--json", "-"});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  const auto json = nlohmann::json::parse(output.out);
  ASSERT_EQ(json["runs"].size(), 3u);
  const int levels[] = {1, 2, 4};
  for (size_t i = 0; i < 3; ++i) {
    const auto& run = json["runs"][i];
    EXPECT_EQ(run["level"]["concurrency"], levels[i]);
    EXPECT_EQ(run["connections"], levels[i]);
    EXPECT_EQ(run["successes"], 40);
    EXPECT_EQ(run["connects"], levels[i]);
    EXPECT_EQ(run["http_ms"]["waiting"]["count"], 40);
    EXPECT_EQ(run["http_ms"]["connecting"]["count"], levels[i]);
    uint64_t in_windows = 0;
    for (const auto& window : run["windows"]) in_windows += window["requests"].get<uint64_t>();
    EXPECT_EQ(in_windows, 40u);
  }
  EXPECT_NE(output.messages.find("concurrency   requests/s     p50 ms"), std::string::npos)
      << output.messages;
}

TEST(Sweep, RatesAreLevelsToo) {
  ScriptedServer server(answer_all);
  const Output output =
      http(server, {"--rate", "100:200:100", "--duration", "200ms", "--json", "-"});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  const auto json = nlohmann::json::parse(output.out);
  ASSERT_EQ(json["runs"].size(), 2u);
  EXPECT_EQ(json["runs"][1]["level"]["request_rate"], 200);
  EXPECT_EQ(json["runs"][1]["schedule"]["due"], 40);
  EXPECT_GT(json["runs"][1]["service_ms"]["count"], 0);
}

// One request at a time and 10 ms for each: with n connections a request waits for n - 1 others.
TEST(Sweep, SearchFindsTheHighestLevelWithinALimit) {
  std::mutex one_at_a_time;
  ScriptedServer server([&](ScriptedServer::Peer& peer) {
    while (!peer.read_request().empty()) {
      {
        const std::lock_guard lock(one_at_a_time);
        peer.wait(std::chrono::milliseconds(10));
      }
      if (!peer.send(plain_answer("ok"))) return;
    }
  });
  const Output output = http(server, {"--concurrency", "1:16", "--search", "p50<75ms",
                                      "--n-requests", "32", "--json", "-"});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  const auto json = nlohmann::json::parse(output.out);
  ASSERT_GE(json["runs"].size(), 3u);
  EXPECT_EQ(json["runs"][0]["level"]["concurrency"], 1);
  EXPECT_EQ(json["runs"][0]["search"]["kept"], true);
  EXPECT_EQ(json["runs"][1]["level"]["concurrency"], 16);
  EXPECT_EQ(json["runs"][1]["search"]["kept"], false);
  EXPECT_NE(output.messages.find("highest concurrency with p50<75ms: "), std::string::npos)
      << output.messages;
}

TEST(Shapes, StagesThinkTimesTracesAndRulesAreReported) {
  ScriptedServer server(answer_all);
  const std::string path = testing::TempDir() + "perf_sweep_trace.txt";
  std::ofstream(path) << "0\n0.01\n0.01\n0.05\n";
  const Output trace = http(server, {"--trace", path, "--json", "-"});
  std::remove(path.c_str());
  EXPECT_EQ(trace.exit_code, 0) << trace.messages;
  EXPECT_EQ(nlohmann::json::parse(trace.out)["runs"][0]["successes"], 4);
  EXPECT_NE(trace.messages.find("4 due times of a trace"), std::string::npos) << trace.messages;

  const Output users =
      http(server, {"--users-stages", "100ms:4,100ms:4", "--think", "5ms-10ms", "--json", "-"});
  EXPECT_EQ(users.exit_code, 0) << users.messages;
  const auto run = nlohmann::json::parse(users.out)["runs"][0];
  EXPECT_EQ(run["users_stages"]["stages"].size(), 2u);
  EXPECT_DOUBLE_EQ(run["duration_wanted_s"], 0.2);
  EXPECT_EQ(run["think_s"], (nlohmann::json{0.005, 0.01}));

  const Output rule =
      http(server, {"--stop-when", "stable(90%,2,max=40)", "--window", "20ms", "--json", "-"});
  EXPECT_EQ(rule.exit_code, 0) << rule.messages;
  const auto ruled = nlohmann::json::parse(rule.out)["runs"][0];
  EXPECT_EQ(ruled["stop_rule"]["rule"], "stable(90%,2,max=40)");
  EXPECT_EQ(ruled["stable"], ruled["stop_rule"]["met"]);
  if (ruled["stable"] == true) {
    EXPECT_NEAR(ruled["wall_s"], 0.04, 1e-6);
  }
  EXPECT_NE(rule.messages.find("stop rule:   stable(90%,2,max=40) "), std::string::npos);
}

TEST(Shapes, ThatDoNotGoTogetherAreRefused) {
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"--rate", "5", "--rate-stages", "1s:5"}, "want only one of them"},
      {{"--rate", "5", "--users-stages", "1s:5"}, "--users-stages: wants a closed loop"},
      {{"--rate", "5", "--think", "1s"}, "--think: wants a closed loop"},
      {{"--think", "1s", "--pipeline", "2"}, "--pipeline: want 1 with --think"},
      {{"--burst", "5"}, "--burst: wants --rate"},
      {{"--trace", "/nonexistent"}, "--trace: "},
      {{"--concurrency", "1,2", "--rate", "1,2"}, "several levels of only one"},
      {{"--concurrency", "1,2", "--users-stages", "1s:5"}, "want one level with --users-stages"},
      {{"--search", "p99<5"}, "--search: wants one range"},
      {{"--search", "p99"}, "--search: want a limit like"},
      {{"--concurrency", "0"}, "--concurrency: want a whole number 1..20000"},
      {{"--concurrency", "1:20000"}, "want up to 1000 levels"},
      {{"--users-stages", "1s"}, "--users-stages: want"},
      {{"--stop-when", "soon"}, "--stop-when: want stable(10%,3)"},
      {{"--window", "1ms"}, "--window: want a time 10ms..3600s"},
  };
  for (const auto& [arguments, want] : cases) {
    std::vector<std::string> all = {"http", "http://127.0.0.1:9/"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Output output = bench_with(all);
    EXPECT_EQ(output.exit_code, 2) << want;
    EXPECT_NE(output.messages.find(want), std::string::npos)
        << "got: " << output.messages << "want: " << want;
  }
}

}  // namespace
}  // namespace sis::perf
