// `sis report` and the report flags of `sis bench`, as whole commands.
#include <gtest/gtest.h>

#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file.h"
#include "base/strings.h"
#include "net/http_client_test_server.h"
#include "perf/bench/bench_fixture.h"
#include "perf/report/report_fixture.h"
#include "perf/report/write_file.h"

namespace sis::perf {
namespace {

Output report_with(const std::vector<std::string>& arguments) {
  return output_of({.environment = environment_of({})},
                   [&](const BenchContext& context) { return report_command(context, arguments); });
}

class ReportCommand : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "report_command_test";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string content(const std::string& name) const {
    const auto text = read_file(path(name), 100'000'000);
    return text.ok() ? *text : "";
  }

  std::string folder_;
};

TEST_F(ReportCommand, MakesEveryKindOfFile) {
  ASSERT_TRUE(write_file(path("a.json"), sweep_json().dump()).ok());
  const Output output =
      report_with({path("a.json"), "--html", path("a.html"), "--csv", path("a.csv"), "--md",
                   path("a.md"), "--hgrm", path("a.hgrm"), "--k6", path("k6.json"),
                   "--handle-summary", path("h.json"), "--machine-summary", path("m.json")});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_TRUE(content("a.html").starts_with("<!DOCTYPE html>"));
  EXPECT_TRUE(content("a.csv").starts_with("Concurrency,"));
  EXPECT_TRUE(content("a.md").starts_with("## Levels"));
  EXPECT_TRUE(content("a.hgrm").starts_with("       Value"));
  EXPECT_TRUE(content("a.4.hgrm").starts_with("       Value"));
  for (const char* name : {"k6.json", "h.json", "m.json"})
    EXPECT_TRUE(Json::accept(content(name))) << name;
}

TEST_F(ReportCommand, PutsRunsOfSeveralFilesTogether) {
  ASSERT_TRUE(write_file(path("a.json"), document_of(Json::array({run_json()})).dump()).ok());
  ASSERT_TRUE(write_file(path("b.json"), failed_json().dump()).ok());
  const Output output = report_with({path("a.json"), path("b.json")});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_NE(output.out.find("embeddings demo at http://localhost:8000"), std::string::npos);
  EXPECT_NE(output.out.find("verdict: failed: connection refused"), std::string::npos);
}

TEST_F(ReportCommand, WrongInputIsSaid) {
  const auto message = [&](const std::vector<std::string>& arguments, int exit_code) {
    const Output output = report_with(arguments);
    EXPECT_EQ(output.exit_code, exit_code);
    EXPECT_EQ(output.out, "");
    return output.messages;
  };
  EXPECT_NE(message({}, 2).find("want 1 to 256 files of results"), std::string::npos);
  EXPECT_NE(message({path("none.json")}, 2).find("none.json: no such file"), std::string::npos);
  EXPECT_NE(message({"--pdf", "x"}, 2).find("unknown flag '--pdf'"), std::string::npos);
  ASSERT_TRUE(write_file(path("bad.json"), "{\"runs\": [{\"requests\": -3}]}").ok());
  EXPECT_NE(
      message({path("bad.json")}, 2)
          .find(
              "bad.json: runs[0].requests: want a whole number of at least 0, found the number -3"),
      std::string::npos);
  ASSERT_TRUE(write_file(path("a.json"), sweep_json().dump()).ok());
  EXPECT_NE(message({path("a.json"), "--html", path("no/a.html"), "--csv", path("a.csv")}, 1)
                .find("--html: cannot write "),
            std::string::npos);
  // One that fails does not take the others with it.
  EXPECT_TRUE(content("a.csv").starts_with("Concurrency,"));
  EXPECT_NE(report_with({"--help"}).out.find("--summary-export"), std::string::npos);
}

TEST_F(ReportCommand, BenchWritesTheSameFiles) {
  net::ScriptedServer server([](net::ScriptedServer::Peer& peer) {
    while (!peer.read_request().empty()) peer.send(net::plain_answer("hello"));
  });
  const Output output =
      bench_with({"http", server.url() + "/x", "--n-requests", "200", "--json", path("a.json"),
                  "--html", path("a.html"), "--csv", path("a.csv"), "--markdown", path("a.md"),
                  "--hgrm", path("a.hgrm"), "--summary-export", path("k6.json")});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_NE(content("a.md").find("| /x | GET | 200 |"), std::string::npos) << content("a.md");
  EXPECT_EQ(Json::parse(content("k6.json"))["metrics"]["http_reqs"]["count"], 200);
  // The kept JSON gives the same page again.
  EXPECT_EQ(report_with({path("a.json"), "--html", path("b.html")}).exit_code, 0);
  EXPECT_EQ(content("a.html"), content("b.html"));
  EXPECT_GT(content("a.html").size(), 10'000u);
}

// A report that cannot be written is told before the load, not after it, and nothing is touched.
TEST_F(ReportCommand, BenchChecksItsFilesBeforeTheRun) {
  net::ScriptedServer server([](net::ScriptedServer::Peer& peer) {
    while (!peer.read_request().empty()) peer.send(net::plain_answer("hello"));
  });
  ASSERT_TRUE(write_file(path("old.json"), "old").ok());
  ASSERT_TRUE(write_file(path("old.html"), "old").ok());
  std::filesystem::create_directory(path("folder"));
  const auto names = [&] {
    std::set<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
      out.insert(entry.path().filename());
    return out;
  };
  const std::set<std::string> before = names();
  const std::vector<std::string> ways[] = {
      {"http", server.url(), "--n-requests", "2"},
      {"chat", "--base-url", server.url(), "--model-name", "m", "--n-requests", "2"},
      {"predict", "--base-url", server.url(), "--model-name", "m", "--n-requests", "2"}};
  const std::pair<const char*, const char*> wrong[] = {{"no/x", "No such file or directory"},
                                                       {"folder", "Is a directory"},
                                                       {"old.json/x", "Not a directory"}};
  for (const char* flag : {"--json", "--html", "--csv", "--markdown", "--hgrm", "--summary-export",
                           "--handle-summary", "--machine-summary"}) {
    for (const auto& [name, reason] : wrong) {
      std::vector<std::string> arguments = ways[0];
      arguments.insert(arguments.end(), {flag, path(name)});
      const Output output = bench_with(arguments);
      EXPECT_EQ(output.exit_code, 2);
      EXPECT_EQ(output.messages,
                concat("sis bench: ", flag, ": cannot write '", path(name), "': ", reason, "\n"));
    }
  }
  for (std::vector<std::string> arguments : ways) {
    arguments.insert(arguments.end(), {"--json", path("old.json"), "--html", path("old.html"),
                                       "--csv", path("new.csv"), "--md", path("no/x")});
    EXPECT_EQ(bench_with(arguments).exit_code, 2) << arguments[0];
  }
  EXPECT_EQ(bench_with({"serve-worker", "--locust-master", "127.0.0.1:1", "--json", path("no/x")})
                .exit_code,
            2);
  EXPECT_EQ(server.requests(), 0);
  // Good paths and a run that never comes to writing: no server lists a model.
  const Output none =
      bench_with({"chat", "--base-url", "http://127.0.0.1:1", "--json", path("old.json"), "--html",
                  path("old.html"), "--csv", path("new.csv")});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_EQ(names(), before);
  EXPECT_EQ(content("old.json"), "old");
  EXPECT_EQ(content("old.html"), "old");
}

// The server's counters cover the measured requests, and name where their time went.
TEST_F(ReportCommand, BenchLeavesTheWarmUpOutOfTheServersFigures) {
  std::mutex mutex;
  int chats = 0, scrapes = 0;
  net::ScriptedServer server([&](net::ScriptedServer::Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      const std::lock_guard lock(mutex);
      if (!request.starts_with("GET /metrics ")) {
        ++chats;
        peer.wait(std::chrono::milliseconds(20));
        peer.send(net::plain_answer(
            R"({"id":"a","choices":[{"index":0,"message":{"role":"assistant","content":"x"},)"
            R"("finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}})"));
        continue;
      }
      ++scrapes;
      std::string page = concat("inference_requests_total ", chats, "\n");
      for (const auto& [name, seconds] : {std::pair{"chat_request_queue_wait_seconds", 0.001},
                                          {"chat_time_to_first_token_seconds", 0.003},
                                          {"chat_request_latency_seconds", 0.018}})
        page += concat(name, "_count ", chats, "\n", name, "_sum ", chats * seconds, "\n");
      peer.send(net::plain_answer(page));
    }
  });
  const auto run_with = [&](const char* warmup) {
    const Output output = bench_with({"chat",
                                      "--base-url",
                                      server.url(),
                                      "--model-name",
                                      "m",
                                      "--no-stream",
                                      "--n-requests",
                                      "3",
                                      "--concurrency",
                                      "2",
                                      "--threads",
                                      "2",
                                      "--warmup",
                                      warmup,
                                      "--server-metrics-every",
                                      "0",
                                      "--json",
                                      path("a.json"),
                                      "--markdown",
                                      path("a.md")},
                                     {{"SERVER_METRICS", server.url()}});
    EXPECT_EQ(output.exit_code, 0) << output.messages << output.out;
    return Json::parse(content("a.json"))["runs"][0]["server"];
  };
  const Json warm = run_with("5");
  EXPECT_EQ(chats, 8);
  EXPECT_EQ(scrapes, 3);
  EXPECT_EQ(warm["requests"], 3) << warm;
  EXPECT_EQ(warm["scrapes"], 2);
  EXPECT_NEAR(warm["prefill_ms"].get<double>(), 2, 1e-6);
  EXPECT_NEAR(warm["decode_ms"].get<double>(), 15, 1e-6);
  EXPECT_NE(content("a.md").find("Most of the time goes to "), std::string::npos);
  EXPECT_EQ(run_with("0")["requests"], 3);
  EXPECT_EQ(scrapes, 5);
}

}  // namespace
}  // namespace sis::perf
