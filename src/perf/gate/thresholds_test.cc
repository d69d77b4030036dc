// Thresholds on runs whose figures are known, at the end and while a run goes on.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "perf/gate/thresholds.h"
#include "perf/report/histogram_text.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

// 1, 2, ... `count` ms.
Histogram steps(int count) {
  Histogram histogram;
  for (int i = 1; i <= count; ++i) histogram.record(from_ms(i));
  return histogram;
}

Json known_run() {
  Json run;
  run["requests"] = 1000;
  run["successes"] = 990;
  run["failures"] = 10;
  run["unsent"] = 7;
  run["bytes_out"] = 5000;
  run["bytes_in"] = 90000;
  run["wall_s"] = 20.0;
  run["connections"] = 8;
  run["latency_ms"] = histogram_json(steps(990), true);
  run["failed_latency_ms"] = histogram_json(steps(10), true);
  run["http_ms"] = {{"waiting", histogram_json(steps(99), true)}};
  run["output_tokens"] = 4000;
  run["goodput"] = {{"answers", 800}};
  run["windows"] = {{{"users", 3}}, {{"users", 9}}, {{"users", 5}}};
  run["parts"] = {{{"name", "warmup"}, {"requests", 100}, {"failures", 0}},
                  {{"name", "load_test"},
                   {"requests", 900},
                   {"failures", 10},
                   {"http_ms", {{"waiting", histogram_json(steps(49), true)}}}}};
  return run;
}

std::vector<ThresholdResult> check(const std::vector<std::string>& flags, const Json& run) {
  Thresholds thresholds;
  for (const std::string& flag : flags) {
    const Status status = thresholds.add_flag(flag);
    EXPECT_TRUE(status.ok()) << flag << ": " << (status.ok() ? "" : status.error().message);
  }
  return thresholds.evaluate(run);
}

TEST(Thresholds, FindTheFiguresOfARun) {
  struct Case {
    const char* flag;
    double value, tolerance;  // times: the histogram's 0.1 %
    bool ok;
  };
  const Case cases[] = {
      {"latency:p(50)<500", 495.5, 0.5, true},
      {"latency:med<495", 495.5, 0.5, false},
      {"latency:p(100)<=990", 990, 0, true},
      {"latency:min>=1", 1, 0, true},
      {"latency:max>990", 990, 0, false},
      {"latency:avg<500", 495.5, 1e-6, true},
      // All 1000 requests, so 10 of 1..10 ms count twice.
      {"http_req_duration:avg<500", (990 * 495.5 + 10 * 5.5) / 1000, 1e-6, true},
      {"http_req_duration{expected_response:true}:avg<500", 495.5, 1e-6, true},
      {"http_req_duration{expected_response:false}:max<11", 10, 0, true},
      {"http_req_waiting:med<49", 50, 0.05, false},
      {"http_req_waiting{scenario:load_test}:p(90)<45", 44.2, 0.05, true},
      {"http_req_failed:rate<0.01", 0.01, 1e-12, false},
      {"http_req_failed:rate<=0.01", 0.01, 1e-12, true},
      {"http_reqs:count>=1000", 1000, 0, true},
      {"http_reqs:rate>50", 50, 1e-9, false},
      // As in k6: per second of the whole run.
      {"http_reqs{scenario:load_test}:rate>=45", 45, 1e-9, true},
      {"http_reqs{scenario:load_test}:count==900", 900, 0, true},
      {"http_reqs{expected_response:true}:count==990", 990, 0, true},
      {"checks:rate>0.98", 0.99, 1e-12, true},
      {"dropped_iterations:count<5", 7, 0, false},
      {"data_sent:count<6000", 5000, 0, true},
      {"data_received:rate>4000", 4500, 1e-9, true},
      {"vus:value==5", 5, 0, true},
      {"vus_max:value==9", 9, 0, true},
      {"output_tokens:rate>=200", 200, 1e-9, true},
      {"goodput:rate>0.85", 0.8, 1e-12, false},
      {"errors:count<=10", 10, 0, true},
  };
  const Json run = known_run();
  for (const Case& want : cases) {
    const auto results = check({want.flag}, run);
    ASSERT_EQ(results.size(), 1u);
    ASSERT_TRUE(results[0].value.has_value()) << want.flag;
    EXPECT_NEAR(*results[0].value, want.value, want.tolerance) << want.flag;
    EXPECT_EQ(results[0].ok, want.ok) << want.flag;
  }
}

// A limit on latency is not kept by sending less: what was due and never sent counts, at the end
// and while the run goes on.
TEST(Thresholds, LatencyKnowsWhatWasNeverSent) {
  Json run = known_run();
  run["service_ms"] = run["latency_ms"];
  EXPECT_TRUE(check({"latency:p(99)<1000"}, run)[0].ok);
  Histogram all = steps(990);
  all.record(from_ms(3000), 100);
  run["latency_all_due_ms"] = histogram_json(all, true);
  EXPECT_FALSE(check({"latency:p(99)<1000"}, run)[0].ok);
  EXPECT_TRUE(check({"http_req_duration:p(99)<1000"}, run)[0].ok);  // from the send, as in k6

  Tally tally;
  tally.ok = 990;
  tally.latency = tally.service = steps(990);
  const auto live = [&] {
    const auto data = metric_data(*parse_metric_name("latency"), LiveFigures{.total = &tally});
    return *data->aggregate(*parse_threshold_expression("p(99)<1000"));
  };
  EXPECT_LT(live(), 1000);
  tally.unsent_waited.record(from_ms(3000), 100);
  EXPECT_NEAR(live(), 3001, 3);
}

TEST(Thresholds, NoSamplesPassAndSaySo) {
  const auto results = check(
      {"ttft:p(99)<1", "http_req_waiting{scenario:other}:p(99)<1", "latency:avg<1"}, known_run());
  EXPECT_FALSE(results[0].value.has_value());
  EXPECT_TRUE(results[0].ok);
  EXPECT_FALSE(results[1].value.has_value());
  EXPECT_FALSE(results[2].ok);
  EXPECT_FALSE(all_met(results));
  const Json json = thresholds_json(results);
  EXPECT_EQ(json[0]["note"], "no samples");
  EXPECT_TRUE(json[0]["value"].is_null());
  EXPECT_EQ(json[2]["metric"], "latency");
  EXPECT_EQ(json[2]["threshold"], "avg<1");
  EXPECT_EQ(json[2]["ok"], false);
  const std::string text = thresholds_text(results);
  EXPECT_NE(text.find("✓ 'p(99)<1' no samples: passes"), std::string::npos) << text;
  EXPECT_NE(text.find("✗ 'avg<1' avg=496 ms"), std::string::npos) << text;
}

TEST(Thresholds, RefuseWhatCannotBeMeant) {
  const std::pair<const char*, const char*> cases[] = {
      {"http_req_duration", "want METRIC:EXPRESSION"},
      {"http_req_duraton:p(95)<1", "there is no metric 'http_req_duraton'; there are: http_req"},
      {"http_req_duration:rate<1", "is a trend and has avg, min, max, med or p(N), got 'rate'"},
      {"http_reqs:p(95)<1", "is a counter and has count or rate"},
      {"http_req_failed:count<1", "is a rate and has rate"},
      {"vus:max<1", "is a gauge and has value"},
      {"http_reqs{method:GET}:count>1", "want scenario:NAME or expected_response"},
      {"http_reqs{scenario:x:count>1", "want METRIC:EXPRESSION"},
      {"http_reqs:count>1,soon", "want abortOnFail or delayAbortEval=TIME"},
      {"http_reqs:count>1,delayAbortEval=soon", "want a time like 10s"},
  };
  for (const auto& [flag, want] : cases) {
    Thresholds thresholds;
    const Status status = thresholds.add_flag(flag);
    ASSERT_FALSE(status.ok()) << flag;
    EXPECT_NE(status.error().message.find(want), std::string::npos) << status.error().message;
  }
  Thresholds thresholds;
  ASSERT_TRUE(thresholds.add_flag("http_reqs{scenario:load}:count>1").ok());
  EXPECT_TRUE(thresholds.check_scenarios({"warmup", "load"}).ok());
  const Status unknown = thresholds.check_scenarios({"warmup", "load_test"});
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message.find("no scenario 'load'; there are: warmup, load_test"),
            std::string::npos)
      << unknown.error().message;
}

TEST(Thresholds, ReadOptionsOfK6) {
  Thresholds thresholds;
  const Status status = thresholds.add_json(Json::parse(R"({
    "http_req_waiting{scenario:load_test}": [{"threshold": "p(90)<25", "abortOnFail": false}],
    "http_req_failed": ["rate<0.01",
                        {"threshold": "rate<0.5", "abortOnFail": true, "delayAbortEval": "10s"}]})"));
  ASSERT_TRUE(status.ok()) << status.error().message;
  ASSERT_EQ(thresholds.rules().size(), 3u);
  EXPECT_FALSE(thresholds.rules()[0].abort.abort_on_fail);
  EXPECT_TRUE(thresholds.rules()[2].abort.abort_on_fail);
  EXPECT_EQ(thresholds.rules()[2].abort.delay, from_seconds(10));
  EXPECT_TRUE(thresholds.may_abort());
  for (const char* wrong :
       {R"([])", R"({"http_reqs": "count>1"})", R"({"http_reqs": [1]})", R"({"http_reqs": [{}]})",
        R"({"http_reqs": [{"threshold": "count>1", "abortOnFail": "yes"}]})",
        R"({"http_reqs": [{"threshold": "count>1", "delayAbortEval": "soon"}]})",
        R"({"http_reqs": [{"threshold": "count>1", "extra": 1}]})", R"({"nope": ["count>1"]})"}) {
    Thresholds refused;
    EXPECT_FALSE(refused.add_json(Json::parse(wrong)).ok()) << wrong;
  }
}

// Hostile histograms are no samples rather than a crash.
TEST(Thresholds, OddHistogramsAreNoSamples) {
  for (const char* text :
       {R"({"latency_ms": 3})", R"({"latency_ms": {"counts_up_to_ms": 3}})",
        R"({"latency_ms": {"counts_up_to_ms": [[1]]}})",
        R"({"latency_ms": {"counts_up_to_ms": [["a", 1]]}})",
        R"({"latency_ms": {"counts_up_to_ms": [[1, -1]]}})",
        R"({"latency_ms": {"counts_up_to_ms": [[1e300, 1]]}})",
        R"({"latency_ms": {"counts_up_to_ms": []}, "parts": 3, "windows": {}})", R"([])"}) {
    const auto results =
        check({"latency:avg<1", "latency{scenario:x}:avg<1", "vus:value<1"}, Json::parse(text));
    EXPECT_FALSE(results[0].value.has_value()) << text;
    EXPECT_TRUE(all_met(results)) << text;
  }
}

Window second(int number, int good, int bad) {
  Window window{.number = number, .start_s = static_cast<double>(number), .length_s = 1};
  window.total.ok = static_cast<uint64_t>(good);
  window.total.failed = static_cast<uint64_t>(bad);
  for (int i = 0; i < good; ++i) window.total.latency.record(from_ms(10));
  window.parts.resize(2);
  window.parts[1] = window.total;
  return window;
}

TEST(ThresholdWatch, EndsTheRunOnceTheDelayIsOver) {
  Thresholds thresholds;
  ASSERT_TRUE(thresholds.add_flag("http_req_failed:rate<0.1,abortOnFail,delayAbortEval=3s").ok());
  ASSERT_TRUE(thresholds.add_flag("latency:avg<1").ok());  // crossed, but may not end the run
  ThresholdWatch watch(thresholds, {"a", "b"});
  EXPECT_TRUE(watch.take(second(0, 50, 50)));
  EXPECT_TRUE(watch.take(second(1, 50, 50)));
  EXPECT_FALSE(watch.take(second(2, 50, 50)));
  ASSERT_EQ(watch.crossed().size(), 1u);
  EXPECT_EQ(watch.crossed()[0].value, 0.5);
  EXPECT_TRUE(watch.crossed()[0].aborted);
}

TEST(ThresholdWatch, SeesWhatWasSinceTheStartAndByScenario) {
  Thresholds thresholds;
  ASSERT_TRUE(thresholds.add_flag("http_req_failed:rate<0.1,abortOnFail").ok());
  ASSERT_TRUE(thresholds.add_flag("http_reqs{scenario:a}:count<1,abortOnFail").ok());
  ASSERT_TRUE(thresholds.add_flag("http_reqs{scenario:b}:count<400,abortOnFail").ok());
  ThresholdWatch watch(thresholds, {"a", "b"});
  EXPECT_TRUE(watch.take(second(0, 100, 0)));
  EXPECT_TRUE(watch.take(second(1, 88, 12)));  // 12 % now, 6 % since the start
  EXPECT_TRUE(watch.take(second(2, 100, 0)));
  EXPECT_FALSE(watch.take(second(3, 100, 0)));  // scenario b has 400
  ASSERT_EQ(watch.crossed().size(), 1u);
  EXPECT_EQ(watch.crossed()[0].metric, "http_reqs{scenario:b}");
}

}  // namespace
}  // namespace sis::perf
