// Whole plans against a scripted server: what is sent, what is told, which exit code comes out.
#include "perf/plan/run_plan.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.h"
#include "base/strings.h"
#include "net/http_client_test_server.h"
#include "perf/bench/bench_fixture.h"
#include "perf/plan/screen.h"

namespace sis::perf {
namespace {

using net::plain_answer;
using net::ScriptedServer;

// Answers GETs; /slow after 60 ms, /bad with 500. Counts by target.
class PlanServer {
 public:
  PlanServer()
      : server_([this](ScriptedServer::Peer& peer) {
          for (std::string request; !(request = peer.read_request()).empty();) {
            const std::string target = split(request, ' ')[1];
            {
              const std::lock_guard lock(mutex_);
              ++seen_[target];
            }
            if (target == "/slow") std::this_thread::sleep_for(std::chrono::milliseconds(60));
            peer.send(target == "/bad" ? plain_answer(R"({"error":"no"})", 500)
                                       : plain_answer("{}"));
          }
        }) {}
  std::string url() const { return server_.url(); }
  int seen(const std::string& target) {
    const std::lock_guard lock(mutex_);
    return seen_[target];
  }

 private:
  std::mutex mutex_;
  std::map<std::string, int> seen_;
  ScriptedServer server_;
};

class RunPlan : public testing::Test {
 protected:
  Output run(const std::string& plan, std::vector<std::string> more = {}) {
    const std::string path = testing::TempDir() + "run_plan_test.yaml";
    std::ofstream(path) << plan;
    std::vector<std::string> arguments = {"run", path, "--base-url", server_.url(),
                                          "--no-progress"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Output output = bench_with(arguments);
    std::remove(path.c_str());
    return output;
  }
  PlanServer server_;
};

TEST_F(RunPlan, ScenariosRunSideBySideAndWarmupStaysOut) {
  const Output output = run(R"(
scenarios:
  warm:
    {vus: 1, duration: 300ms, tags: {phase: warmup}, tasks: [{http: {path: /warm}}]}
  mix:
    executor: shared-iterations
    vus: 2
    iterations: 40
    start_time: 300ms
    tasks: [{weight: 3, http: {path: /a}}, {http: {path: /b}}]
  rate:
    {executor: constant-arrival-rate, rate: 50, duration: 400ms, start_time: 300ms, preAllocatedVUs: 4,
     tasks: [{http: {path: /c}}]}
thresholds:
  http_req_failed: ['rate<0.01']
  http_reqs{scenario:mix}: ['count==40']
  http_req_duration{task:/a}: ['p(99)<5000']
)",
                            {"--json", "-"});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_EQ(server_.seen("/a"), 30);
  EXPECT_EQ(server_.seen("/b"), 10);
  EXPECT_GT(server_.seen("/warm"), 0);
  const auto json = nlohmann::json::parse(output.out);
  ASSERT_EQ(json["runs"].size(), 3u);
  const auto& warm = json["runs"][0];
  EXPECT_EQ(warm["scenario"], "warm");
  EXPECT_EQ(warm["warmup"], true);
  EXPECT_EQ(warm["tags"]["phase"], "warmup");
  EXPECT_FALSE(warm.contains("thresholds"));
  const auto& mix = json["runs"][1];
  EXPECT_EQ(mix["requests"], 40);
  EXPECT_EQ(mix["executor"], "shared-iterations");
  ASSERT_EQ(mix["thresholds"].size(), 3u);
  EXPECT_EQ(mix["thresholds"][1]["value"], 40);
  EXPECT_GE(mix["began_s"].get<double>(), 0.3);
  const auto& rate = json["runs"][2];
  EXPECT_LT(rate["began_s"].get<double>(), 10);
  // 20 were due; what a busy machine had not sent by the end is told.
  const int sent = rate["requests"];
  EXPECT_EQ(server_.seen("/c"), sent);
  EXPECT_EQ(sent + rate["unsent"].get<int>(), 20);
  EXPECT_GT(sent, 0);
  // 40 and the rate's, not the warm-up's.
  EXPECT_NE(output.messages.find(concat("http_reqs.....................: ", 40 + sent, " ")),
            std::string::npos)
      << output.messages;
  EXPECT_NE(output.messages.find("✓ 'count==40'"), std::string::npos) << output.messages;
}

// A plan's results become the same reports as those of any other command.
TEST_F(RunPlan, WritesEveryReport) {
  const std::string folder = testing::TempDir() + "run_plan_reports/";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  const Output output =
      run(R"(
scenarios:
  warm: {executor: shared-iterations, iterations: 7, warmup: true, tasks: [{http: {path: /warm}}]}
  users: {executor: shared-iterations, iterations: 30, tasks: [{http: {path: /a}}]}
  rate:
    {executor: constant-arrival-rate, rate: 50, duration: 400ms, tasks: [{http: {path: /c}}]}
thresholds:
  http_req_duration{scenario:users}: ['p(99)<5000']
)",
          {"--json", folder + "r.json", "--html", folder + "r.html", "--csv", folder + "r.csv",
           "--markdown", folder + "r.md", "--hgrm", folder + "r.hgrm", "--summary-export",
           folder + "k6.json", "--handle-summary", folder + "h.json", "--machine-summary",
           folder + "m.json"});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  const auto content = [&](const char* name) { return *read_file(folder + name, 100'000'000); };
  const std::string html = content("r.html"), csv = content("r.csv"), markdown = content("r.md");
  EXPECT_NE(html.find(">warm, warm-up</h2>"), std::string::npos);
  EXPECT_NE(html.find("http_req_duration{scenario:users}"), std::string::npos);
  EXPECT_TRUE(csv.starts_with("Concurrency,Request Rate,Inferences/Second,")) << csv;
  for (const char* end : {",warm\n", ",users\n", ",rate\n"})
    EXPECT_NE(csv.find(end), std::string::npos) << csv;
  EXPECT_NE(markdown.find("| users | POST | 30 |"), std::string::npos) << markdown;
  for (const char* name : {"r.hgrm", "r.2.hgrm", "r.3.hgrm", "r.3.service.hgrm"})
    EXPECT_NE(content(name).find("Total count"), std::string::npos) << name;
  // 30 + 20 without those that warm up, over the plan's time and not the sum of its scenarios'.
  const auto metrics = nlohmann::json::parse(content("k6.json"))["metrics"];
  const auto runs = nlohmann::json::parse(content("r.json"))["runs"];
  const int rate = runs[2]["requests"],
            unsent = runs[2]["unsent"];  // a busy machine may send fewer
  EXPECT_EQ(rate + unsent, 20);
  EXPECT_EQ(metrics["http_reqs"]["count"], 30 + rate);
  EXPECT_EQ(metrics["http_reqs{scenario:users}"]["count"], 30);
  EXPECT_EQ(metrics["http_reqs{scenario:warm}"]["count"], 7);
  const auto& limited = metrics["http_req_duration{scenario:users}"];
  EXPECT_EQ(limited["thresholds"]["p(99)<5000"], false);  // k6's way to say that it held
  EXPECT_GT(limited["p(99)"].get<double>(), 0);
  EXPECT_TRUE(nlohmann::json::accept(content("m.json")));
  const auto state = nlohmann::json::parse(content("h.json"))["state"];
  const double last = std::max(runs[1]["ended_s"].get<double>(), runs[2]["ended_s"].get<double>());
  const double first = std::min(runs[1]["began_s"].get<double>(), runs[2]["began_s"].get<double>());
  EXPECT_NEAR(state["testRunDurationMs"].get<double>(), (last - first) * 1000, 1e-6);

  const std::string plan = "scenarios: {a: {vus: 1, duration: 100ms, tasks: [{http: {}}]}}\n";
  // What only writing shows: a full disk.
  const Output wrong = run(plan, {"--html", "/dev/full", "--csv", folder + "s.csv"});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_NE(wrong.messages.find("--html: cannot write"), std::string::npos) << wrong.messages;
  EXPECT_TRUE(content("s.csv").starts_with("Concurrency,"));  // the others are still written
  std::filesystem::remove_all(folder);
}

// Each user makes its own iterations, and what max_duration cuts off counts as dropped, as in k6.
TEST_F(RunPlan, EveryUserMakesItsIterations) {
  const Output output = run(R"(
scenarios:
  each: {executor: per-vu-iterations, vus: 3, iterations: 5, tasks: [{http: {path: /a}}]}
  cut: {executor: per-vu-iterations, vus: 2, iterations: 500, max_duration: 200ms, tasks: [{http: {path: /slow}}]}
thresholds:
  http_reqs{scenario:each}: ['count==15']
  dropped_iterations{scenario:cut}: ['count>900']
)",
                            {"--json", "-"});
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  EXPECT_EQ(server_.seen("/a"), 15);
  const auto runs = nlohmann::json::parse(output.out)["runs"];
  EXPECT_EQ(runs[0]["executor"], "per-vu-iterations");
  EXPECT_EQ(runs[0]["requests_wanted"], 15);
  EXPECT_EQ(runs[1]["requests"].get<int>() + runs[1]["unsent"].get<int>(), 1000);
}

TEST_F(RunPlan, CrossedThresholdsExitWith99) {
  const Output output =
      run("scenarios: {a: {executor: shared-iterations, iterations: 5, tasks: [{http: {path: "
          "/slow}}]}}\n"
          "thresholds: {http_req_duration: ['med<20', 'max<5000']}\n");
  EXPECT_EQ(output.exit_code, 99) << output.messages;
  EXPECT_NE(output.out.find("✗ 'med<20'"), std::string::npos) << output.out;
  EXPECT_NE(output.out.find("✓ 'max<5000'"), std::string::npos) << output.out;
}

TEST_F(RunPlan, AbortOnFailEndsThePlanEarly) {
  const auto begin = std::chrono::steady_clock::now();
  const Output output = run(
      "scenarios: {a: {vus: 1, duration: 30s, think_time: 50ms, tasks: [{http: {path: /bad}}]}}\n"
      "thresholds: {http_req_failed: [{threshold: 'rate<0.5', abortOnFail: true}]}\n");
  const double seconds = to_seconds(std::chrono::steady_clock::now() - begin);
  EXPECT_EQ(output.exit_code, 99) << output.messages;
  EXPECT_LT(seconds, 15);
  EXPECT_GE(seconds, 2);
  EXPECT_NE(output.out.find("ended early"), std::string::npos) << output.out;
}

TEST_F(RunPlan, InterruptionKeepsFiguresAndExitsWith105) {
  const std::string path = testing::TempDir() + "run_plan_stop.yaml";
  std::ofstream(path)
      << "scenarios: {a: {vus: 1, duration: 30s, tasks: [{http: {path: /slow}}]},\n"
         "            b: {vus: 1, start_time: 20s, duration: 1s, tasks: [{http: {path: /b}}]}}\n";
  std::atomic<bool> stop{false};
  std::thread stopper([&] {
    for (int i = 0; i < 10'000 && server_.seen("/slow") < 3; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    stop = true;
  });
  const Output output = output_of(
      {.environment = environment_of({}), .stop = &stop}, [&](const BenchContext& context) {
        return bench(context, {"run", path, "--base-url", server_.url()});
      });
  stopper.join();
  EXPECT_EQ(output.exit_code, 105);
  EXPECT_NE(output.out.find("b: not begun"), std::string::npos) << output.out;
  EXPECT_NE(output.out.find("interrupted"), std::string::npos) << output.out;
  std::remove(path.c_str());
}

TEST_F(RunPlan, WrongPlansExitWith104AndUnreachableServersWith1) {
  EXPECT_EQ(run("scenarios: {a: 3}\n").exit_code, 104);
  EXPECT_EQ(run("nonsense").exit_code, 104);
  EXPECT_EQ(bench_with({"run"}).exit_code, 104);
  EXPECT_EQ(bench_with({"run", "/nonexistent.yaml"}).exit_code, 104);
  const std::string plan = "scenarios: {a: {vus: 1, duration: 100ms, tasks: [{http: {}}]}}\n";
  EXPECT_EQ(run("thresholds: {http_reqs: ['p(95)<1']}\n" + plan).exit_code, 104);
  const Output chat = run("scenarios: {a: {vus: 1, duration: 1s, tasks: [{chat: {}}]}}\n");
  EXPECT_EQ(chat.exit_code, 104);
  EXPECT_NE(chat.messages.find("want a model"), std::string::npos) << chat.messages;
  const Output unwritable = run(plan, {"--csv", "/nonexistent/x.csv"});
  EXPECT_EQ(unwritable.exit_code, 2);
  EXPECT_EQ(unwritable.messages,
            "sis bench: --csv: cannot write '/nonexistent/x.csv': No such file or directory\n");
  EXPECT_EQ(unwritable.out, "");
  const Output check = run(plan, {"--check"});
  EXPECT_EQ(check.exit_code, 0);
  EXPECT_NE(check.out.find("a: constant-vus from 0s for 100ms, 1 tasks"), std::string::npos)
      << check.out;
  std::string gone;
  { gone = PlanServer().url(); }
  const Output nobody = run(plan, {"--base-url", gone});
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_NE(nobody.out.find("Connection refused"), std::string::npos) << nobody.out;
}

TEST_F(RunPlan, GracefulStopCutsWhatTakesTooLong) {
  const auto begin = std::chrono::steady_clock::now();
  const Output output =
      run("scenarios: {a: {vus: 1, duration: 100ms, graceful_stop: 0s, tasks: [{http: {path: "
          "/slow}}]}}\n",
          {"--json", "-"});
  EXPECT_LT(to_seconds(std::chrono::steady_clock::now() - begin), 5);
  EXPECT_EQ(output.exit_code, 0) << output.messages;
  const auto json = nlohmann::json::parse(output.out);
  EXPECT_EQ(json["runs"][0]["verdict"], "valid") << json["runs"][0]["verdict_reason"];
}

TEST(Screen, TimesAsK6WritesThem) {
  EXPECT_EQ(k6_time_text(0), "0s");
  EXPECT_EQ(k6_time_text(0.8159), "815.9µs");
  EXPECT_EQ(k6_time_text(12.349), "12.35ms");
  EXPECT_EQ(k6_time_text(1200), "1.2s");
  EXPECT_EQ(k6_time_text(90000), "1m30s");
}

TEST(Screen, ProgressOfAPlan) {
  EXPECT_EQ(plan_progress_line({.elapsed_s = 10,
                                .length_s = 95,
                                .users = 5,
                                .users_max = 10,
                                .requests = 1234,
                                .failures = 2}),
            "running (0m10.0s/1m35.0s), 05/10 VUs, 1,234 requests, 2 failed");
}

}  // namespace
}  // namespace sis::perf
