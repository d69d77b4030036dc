// Whole `sis gate` commands: files in, exit code and report out.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "net/http_client_test_server.h"
#include "perf/bench/bench_fixture.h"
#include "perf/gate/gate.h"
#include "perf/report/histogram_text.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

class GateCommand : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "sis-gate-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(root_ + "/" + name) << text;
    return root_ + "/" + name;
  }
  // A document with one run whose latencies are about `ms`.
  std::string run_file(const std::string& name, double ms, int connections = 4) const {
    Histogram latency;
    for (int i = 0; i < 100; ++i) latency.record(from_ms(ms * (1 + i * 0.001)));
    Json run = {
        {"what", "http"},    {"loop", "closed"}, {"connections", connections},  {"requests", 100},
        {"successes", 100},  {"failures", 0},    {"requests_per_s", 1000 / ms}, {"wall_s", ms / 10},
        {"verdict", "valid"}};
    run["latency_ms"] = histogram_json(latency, true);
    return write(
        name,
        Json{{"tool", "sis bench"}, {"machine", {{"cpu", "x"}, {"cores", 2}}}, {"runs", {run}}}
            .dump());
  }
  std::vector<std::string> run_files(const std::string& side, double ms) const {
    std::vector<std::string> out;
    for (int i = 0; i < 10; ++i)
      out.push_back(run_file(fmt::format("{}{}.json", side, i), ms * (1 + 0.001 * i)));
    return out;
  }

  static Output run(const std::vector<std::string>& arguments) {
    return output_of({.environment = environment_of({})},
                     [&](const BenchContext& context) { return gate(context, arguments); });
  }
  static std::vector<std::string> compare(const std::vector<std::string>& baseline,
                                          const std::vector<std::string>& candidate,
                                          const std::vector<std::string>& more = {}) {
    std::vector<std::string> out = {"--baseline"};
    out.insert(out.end(), baseline.begin(), baseline.end());
    out.push_back("--candidate");
    out.insert(out.end(), candidate.begin(), candidate.end());
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  std::string root_;
};

TEST_F(GateCommand, ExitCodesTellTheVerdict) {
  const auto before = run_files("b", 10), same = run_files("s", 10), slow = run_files("c", 11.5);
  EXPECT_EQ(run(compare(before, same)).exit_code, 0);
  const Output slower = run(compare(before, slow));
  EXPECT_EQ(slower.exit_code, 99) << slower.out;
  EXPECT_NE(slower.out.find("verdict: regressed: latency p50 of http +15.0 %"), std::string::npos)
      << slower.out;
  EXPECT_EQ(run(compare(slow, before)).exit_code, 0);
  const Output few = run(compare({before[0]}, {slow[0]}));
  EXPECT_EQ(few.exit_code, 0);
  EXPECT_NE(few.out.find("verdict: too noisy to tell"), std::string::npos) << few.out;
  EXPECT_EQ(run(compare({before[0]}, {slow[0]}, {"--fail-if-noisy"})).exit_code, 99);
}

TEST_F(GateCommand, WritesMarkdownAndJson) {
  const auto before = run_files("b", 10), slow = run_files("c", 11.5);
  const std::string markdown = root_ + "/table.md";
  const Output output = run(compare(before, slow, {"--markdown", markdown, "--json", "-"}));
  EXPECT_EQ(output.exit_code, 99);
  const Json json = Json::parse(output.out, nullptr, false);
  ASSERT_TRUE(json.is_object()) << output.out;
  EXPECT_EQ(json["verdict"], "regressed");
  std::ifstream file(markdown);
  std::string first;
  std::getline(file, first);
  EXPECT_TRUE(first.starts_with("### ❌ Performance: regressed")) << first;
  const Output unwritable = run(compare(before, slow, {"--markdown", root_ + "/no/where.md"}));
  EXPECT_EQ(unwritable.exit_code, 1);
  EXPECT_NE(unwritable.messages.find("--markdown: cannot write"), std::string::npos);
}

TEST_F(GateCommand, BadInputIs104AndSaysWhat) {
  const std::string good = run_file("good.json", 10), other = run_file("other.json", 10, 8);
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "[";
  for (int i = 0; i < 100; ++i) deep += "]";
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{}, "usage: sis gate"},
      {{"nothing"}, "there is no command 'nothing'"},
      {{"--baseline", good}, "--candidate: want a file"},
      {{"--candidate", good}, "want either --baseline FILE ... or --history DIR"},
      {{"--baseline", good, "--candidate", good, "--history", root_}, "want either"},
      {{"--baseline", good, "--candidate", good, "--record"}, "--record: wants --history"},
      {{"--baseline", good, "--candidate", root_ + "/none.json"}, "no such file"},
      {{"--baseline", good, "--candidate", write("a", "{")}, "want JSON"},
      {{"--baseline", good, "--candidate", write("b", "[]")}, "want a document of 'sis bench"},
      {{"--baseline", good, "--candidate", write("c", "{\"runs\":[]}")}, "\"runs\" is empty"},
      {{"--baseline", good, "--candidate", write("d", "{\"runs\":[3]}")}, "run 1: want an object"},
      {{"--baseline", good, "--candidate", write("e", deep)}, "levels of JSON"},
      {{"--baseline", good, "--candidate", other}, "the load differs: connections 4 and 8"},
      {{"--baseline", good, "--candidate", good, "--metrics", "speed"}, "no metric 'speed'"},
      {{"--baseline", good, "--candidate", good, "--scenario", "x"}, "there is no scenario 'x'"},
      {{"--baseline", good, "--candidate", good, "--alpha", "0"}, "--alpha: want a number"},
      {{"--baseline", good, "--candidate", good, "--frobnicate"}, "unknown flag '--frobnicate'"},
      {{"--history", root_, "--candidate", good}, "has no good runs of this kind"},
      {{"check", good}, "--threshold: want at least one"},
      {{"check", good, "--threshold", "latency:p95<1"}, "--threshold: latency: 'p95<1'"},
      {{"check", "--threshold", "latency:p(95)<1"}, "want a RUN.json"},
      {{"record", good}, "--history: want a folder"},
      {{"record", "--history", root_}, "want a RUN.json"},
      {{"history"}, "--history: want a folder"},
      {{"run", "--baseline-url", "http://x"}, "want --baseline-url URL and --candidate-url URL"},
      {{"run", "--baseline-url", "http://x", "--candidate-url", "http://y"}, "want what to run"},
      {{"run", "--baseline-url", "http://x", "--candidate-url", "http://y", "--", "http", "--json",
        "f"},
       "--json: not behind --"},
  };
  for (const auto& [arguments, want] : cases) {
    const Output output = run(arguments);
    EXPECT_EQ(output.exit_code, 104) << want;
    EXPECT_NE(output.messages.find(want), std::string::npos) << want << "\n" << output.messages;
  }
}

// A plan's document has a run for each scenario; warm-ups are no part of it.
TEST_F(GateCommand, ScenariosOfPlans) {
  const auto document = [&](const std::string& name, double ms) {
    Json runs = Json::array();
    for (const char* scenario : {"warmup", "load", "other"}) {
      Json run = {{"what", scenario}, {"scenario", scenario}, {"warmup", scenario[0] == 'w'},
                  {"requests", 10},   {"failures", 0},        {"verdict", "valid"}};
      Histogram latency;
      latency.record(from_ms(scenario[0] == 'l' ? ms : 10));
      run["latency_ms"] = histogram_json(latency, true);
      runs.push_back(std::move(run));
    }
    return write(name, Json{{"runs", runs}}.dump());
  };
  std::vector<std::string> before, after;
  for (int i = 0; i < 10; ++i) {
    before.push_back(document(fmt::format("b{}", i), 10 + 0.01 * i));
    after.push_back(document(fmt::format("a{}", i), 12 + 0.01 * i));
  }
  const Output all = run(compare(before, after));
  EXPECT_EQ(all.exit_code, 99);
  EXPECT_EQ(all.out.find("warmup"), std::string::npos) << all.out;
  EXPECT_NE(all.out.find("other: 10 baseline"), std::string::npos) << all.out;
  EXPECT_EQ(run(compare(before, after, {"--scenario", "other"})).exit_code, 0);
  EXPECT_EQ(run(compare(before, after, {"--scenario", "load"})).exit_code, 99);
  EXPECT_EQ(run(compare(before, after, {"--scenario", "none"})).exit_code, 104);
  EXPECT_EQ(run({"check", before[0], "--threshold", "latency{scenario:load}:max<=10.01",
                 "--threshold", "latency{scenario:other}:max<9"})
                .exit_code,
            99);
}

TEST_F(GateCommand, HelpIsThere) {
  for (const char* what : {"", "compare", "check", "record", "history", "run", "noise"}) {
    std::vector<std::string> arguments = {"--help"};
    if (*what != 0) arguments.insert(arguments.begin(), what);
    const Output output = run(arguments);
    EXPECT_EQ(output.exit_code, 0) << what;
    EXPECT_NE(output.out.find("usage: sis gate"), std::string::npos) << what;
  }
}

TEST_F(GateCommand, ChecksThresholdsOfSavedRuns) {
  const std::string file = run_file("run.json", 10);
  EXPECT_EQ(run({"check", file, "--threshold", "latency:p(95)<12"}).exit_code, 0);
  const Output crossed =
      run({"check", file, "--threshold", "latency:p(95)<12", "--threshold", "http_reqs:rate>=500"});
  EXPECT_EQ(crossed.exit_code, 99);
  EXPECT_NE(crossed.out.find("✗ 'rate>=500' rate=100/s"), std::string::npos) << crossed.out;
}

TEST_F(GateCommand, ComparesWithTheHistory) {
  const std::string history = root_ + "/history";
  std::vector<std::string> record = {"record", "--history", history, "--label", "v1"};
  for (const std::string& file : run_files("b", 10)) record.push_back(file);
  EXPECT_EQ(run(record).exit_code, 0);
  const auto against = [&](double ms, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"--history", history, "--candidate"};
    const auto files = run_files("c", ms);
    arguments.insert(arguments.end(), files.begin(), files.begin() + 6);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  EXPECT_EQ(against(11.5, {}).exit_code, 99);
  EXPECT_EQ(against(10, {"--record", "--label", "v2"}).exit_code, 0);
  const Output slower = against(11.5, {"--record", "--label", "v3"});
  EXPECT_EQ(slower.exit_code, 99);
  EXPECT_NE(slower.messages.find("not as a baseline"), std::string::npos);
  const Output list = run({"history", history});
  EXPECT_EQ(list.exit_code, 0);
  size_t good = 0, bad = 0;
  for (const std::string& line : split(list.out, '\n')) {
    good += line.find("  yes  ") != std::string::npos ? 1 : 0;
    bad += line.find("  no   ") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(good, 16u) << list.out;
  EXPECT_EQ(bad, 6u) << list.out;
  EXPECT_EQ(run({"record", "--history", history, "--retract", "1"}).exit_code, 0);
  EXPECT_EQ(run({"record", "--history", history, "--retract", "1000"}).exit_code, 104);
}

TEST_F(GateCommand, TellsItsOwnErrors) {
  std::vector<std::string> arguments = {"noise", "--runs", "8", "--splits", "50"};
  for (int i = 0; i < 16; ++i)
    arguments.push_back(run_file(fmt::format("n{}.json", i), 10 * (1 + 0.002 * (i % 8))));
  arguments.push_back("--candidate");
  for (int i = 0; i < 8; ++i)
    arguments.push_back(run_file(fmt::format("m{}.json", i), 12 * (1 + 0.002 * i)));
  const Output output = run(arguments);
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_NE(output.out.find("no change:     0 of 50 regressed"), std::string::npos) << output.out;
  EXPECT_NE(output.out.find("made 10 % slower: 50 of 50 regressed"), std::string::npos)
      << output.out;
  EXPECT_NE(output.out.find("--candidate:   50 of 50 regressed"), std::string::npos) << output.out;
  EXPECT_EQ(run({"noise", arguments[5], arguments[6]}).exit_code, 104);
}

// Two servers, one of which takes 40 ms longer, measured in turns.
TEST_F(GateCommand, RunsTwoServersInTurns) {
  const auto script = [](int wait_ms) {
    return [wait_ms](net::ScriptedServer::Peer& peer) {
      while (!peer.read_request().empty()) {
        peer.wait(std::chrono::milliseconds(wait_ms));
        peer.send(net::plain_answer("{}"));
      }
    };
  };
  net::ScriptedServer quick(script(4)), slow(script(44));
  const auto contest = [&](const std::string& a, const std::string& b,
                           const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {
        "run",       "--baseline-url",        a, "--candidate-url", b, "--runs", "5",
        "--metrics", "latency_p50,throughput"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    for (const char* word : {"--", "http", "--n-requests", "10", "--concurrency", "1"})
      arguments.push_back(word);
    return run(arguments);
  };
  const std::string kept = root_ + "/runs";
  const Output slower = contest(quick.url(), slow.url(), {"--out", kept});
  EXPECT_EQ(slower.exit_code, 99) << slower.out << slower.messages;
  EXPECT_NE(slower.out.find("5 baseline and 5 candidate runs"), std::string::npos) << slower.out;
  EXPECT_TRUE(std::filesystem::exists(kept + "/candidate-005.json"));
  EXPECT_EQ(contest(slow.url(), quick.url(), {}).exit_code, 0);
  const Output wrong = run({"run", "--baseline-url", quick.url(), "--candidate-url", slow.url(),
                            "--", "http", "--frobnicate"});
  EXPECT_EQ(wrong.exit_code, 104);
}

// A run that fails before it writes fails the gate, also where an earlier gate left its figures.
TEST_F(GateCommand, AFailedRunIsNotJudgedByAnEarlierOnesFile) {
  net::ScriptedServer server([](net::ScriptedServer::Peer& peer) {
    while (!peer.read_request().empty()) peer.send(net::plain_answer("{}"));
  });
  const std::string kept = root_ + "/runs";
  const auto contest = [&](const std::string& what) {
    return run({"run", "--baseline-url", server.url(), "--candidate-url", server.url(), "--runs",
                "2", "--discard", "0", "--out", kept, "--", what, "--n-requests", "5"});
  };
  const Output good = contest("http");
  EXPECT_EQ(good.exit_code, 0) << good.out << good.messages;
  ASSERT_TRUE(std::filesystem::exists(kept + "/candidate-001.json"));
  const Output failed = contest("embeddings");  // the server lists no models
  EXPECT_EQ(failed.exit_code, 104) << failed.out << failed.messages;
  EXPECT_NE(failed.messages.find("e: 'sis bench embeddings"), std::string::npos) << failed.messages;
  EXPECT_NE(failed.messages.find("exit code 1 and wrote no figures"), std::string::npos)
      << failed.messages;
}

}  // namespace
}  // namespace sis::perf
