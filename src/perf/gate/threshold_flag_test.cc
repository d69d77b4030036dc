// --threshold of whole bench commands: results, exit codes of k6, ending early.
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "net/http_client_test_server.h"
#include "perf/bench/bench_fixture.h"
#include "perf/gate/thresholds.h"

namespace sis::perf {
namespace {

using net::plain_answer;
using net::ScriptedServer;

void answer_slowly(ScriptedServer::Peer& peer) {
  while (!peer.read_request().empty()) {
    peer.wait(std::chrono::milliseconds(5));
    peer.send(plain_answer("{}"));
  }
}

void answer_badly(ScriptedServer::Peer& peer) {
  while (!peer.read_request().empty()) {
    peer.wait(std::chrono::milliseconds(5));
    peer.send(plain_answer("{}", 500));
  }
}

Output bench_http_with(const ScriptedServer& server, std::vector<std::string> more) {
  std::vector<std::string> arguments = {"http", server.url() + "/", "--concurrency", "2",
                                        "--no-progress"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return bench_with(arguments);
}

TEST(ThresholdFlag, ExitCodesAreThoseOfK6) {
  ScriptedServer server(answer_slowly);
  const Output met = bench_http_with(
      server, {"--n-requests", "20", "--threshold", "http_req_duration:p(95)<2000", "--threshold",
               "http_req_waiting:med>=4.5", "--threshold", "http_req_failed:rate<0.01"});
  EXPECT_EQ(met.exit_code, 0) << met.out << met.messages;
  EXPECT_NE(met.out.find("✓ 'p(95)<2000' p(95)="), std::string::npos) << met.out;
  const Output crossed = bench_http_with(
      server, {"--n-requests", "20", "--threshold", "http_req_duration:p(95)<1", "--json", "-"});
  EXPECT_EQ(crossed.exit_code, 99);
  const auto run = nlohmann::json::parse(crossed.out)["runs"][0];
  EXPECT_EQ(run["thresholds"][0]["metric"], "http_req_duration");
  EXPECT_EQ(run["thresholds"][0]["ok"], false);
  EXPECT_GE(run["thresholds"][0]["value"].get<double>(), 4.5);
}

TEST(ThresholdFlag, WrongOnesAre104BeforeAnythingIsSent) {
  ScriptedServer server(answer_slowly);
  for (const char* wrong : {"http_req_duration:p95<1", "speed:avg<1", "http_reqs",
                            "http_reqs{scenario:nope}:count>1"}) {
    const Output output = bench_http_with(server, {"--threshold", wrong});
    EXPECT_EQ(output.exit_code, 104) << wrong;
    EXPECT_NE(output.messages.find("sis bench: --threshold: "), std::string::npos)
        << output.messages;
  }
  EXPECT_EQ(server.requests(), 0);
}

TEST(ThresholdFlag, AbortOnFailEndsTheRun) {
  ScriptedServer server(answer_badly);
  const auto begin = std::chrono::steady_clock::now();
  const Output output =
      bench_http_with(server, {"--duration", "30s", "--window", "200ms", "--threshold",
                               "http_req_failed:rate<0.5,abortOnFail,delayAbortEval=300ms"});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
  EXPECT_EQ(output.exit_code, 99) << output.out << output.messages;
  EXPECT_NE(output.out.find("ended early: a threshold"), std::string::npos) << output.out;
}

TEST(ThresholdFlag, InterruptedIs105) {
  ScriptedServer server(answer_slowly);
  std::atomic<bool> stop{false};
  std::thread person([&] {
    for (int i = 0; i < 10'000 && server.requests() < 20; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    stop = true;
  });
  std::FILE* nowhere = std::fopen("/dev/null", "w");
  BenchContext context{.environment = environment_of({}), .out = nowhere, .messages = nowhere};
  context.stop = &stop;
  EXPECT_EQ(bench(context, {"http", server.url() + "/", "--duration", "30s", "--no-progress",
                            "--threshold", "http_req_duration:p(95)<1"}),
            kExitInterrupted);
  person.join();
  std::fclose(nowhere);
}

}  // namespace
}  // namespace sis::perf
