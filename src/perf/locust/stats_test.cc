// Reports hold what was added since the last one, in the master's shape; nothing is lost or counted
// twice.
#include "perf/locust/stats.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sis::perf {
namespace {

using nlohmann::json;

json report_of(LocustStats& stats, double now_s = 1000) {
  MsgpackWriter out;
  stats.take(out, {{"A", 3}, {"B", 2}}, now_s);
  auto value = parse_msgpack(out.bytes());
  EXPECT_TRUE(value.ok());
  return value.ok() ? *value : json();
}

Tally tally_of(std::vector<double> good_ms, std::vector<double> bad_ms) {
  Tally tally;
  for (const double ms : good_ms) tally.latency.record(from_ms(ms));
  for (const double ms : bad_ms) tally.failed_latency.record(from_ms(ms));
  tally.ok = good_ms.size();
  tally.failed = bad_ms.size();
  tally.body_bytes = 100 * good_ms.size();
  if (!bad_ms.empty()) tally.messages["status 500: 'no'"] = bad_ms.size();
  return tally;
}

TEST(LocustStats, OneReportOfARow) {
  LocustStats stats;
  stats.clear(990);
  stats.add({"POST", "/predict"}, tally_of({10.2, 10.4, 99.7, 1500}, {20}), 998.5, 999.5);
  const json report = report_of(stats);
  ASSERT_EQ(report["stats"].size(), 1u);
  const json& row = report["stats"][0];
  EXPECT_EQ(row["name"], "/predict");
  EXPECT_EQ(row["method"], "POST");
  EXPECT_EQ(row["num_requests"], 5);  // failed ones are requests too
  EXPECT_EQ(row["num_failures"], 1);
  EXPECT_EQ(row["num_none_requests"], 0);
  EXPECT_NEAR(row["total_response_time"].get<double>(), 10.2 + 10.4 + 99.7 + 1500 + 20, 1e-6);
  EXPECT_NEAR(row["min_response_time"].get<double>(), 10.2, 1e-6);
  EXPECT_NEAR(row["max_response_time"].get<double>(), 1500, 1e-6);
  EXPECT_EQ(row["total_content_length"], 400);
  // Finer than Locust's two digits.
  EXPECT_EQ(row["response_times"]["10"], 2);
  EXPECT_EQ(row["response_times"]["100"], 1);
  EXPECT_EQ(row["response_times"]["20"], 1);
  uint64_t slow = 0;
  for (const auto& [ms, count] : row["response_times"].items())
    if (std::stod(ms) > 1498 && std::stod(ms) < 1502) slow += count.get<uint64_t>();
  EXPECT_EQ(slow, 1u);
  EXPECT_EQ(row["start_time"], 990);
  EXPECT_EQ(row["last_request_timestamp"], 999.5);
  uint64_t by_second = 0;
  for (const auto& [second, count] : row["num_reqs_per_sec"].items()) {
    EXPECT_TRUE(second == "998" || second == "999") << second;
    by_second += count.get<uint64_t>();
  }
  EXPECT_EQ(by_second, 5u);
  json total = report["stats_total"];
  EXPECT_EQ(total["num_requests"], 5);
  EXPECT_EQ(total["response_times"], row["response_times"]);
  ASSERT_EQ(report["errors"].size(), 1u);
  const json error = report["errors"].begin().value();
  EXPECT_EQ(error["error"], "status 500: 'no'");
  EXPECT_EQ(error["occurrences"], 1);
  EXPECT_EQ(error["name"], "/predict");
  EXPECT_EQ(report["user_classes_count"], (json{{"A", 3}, {"B", 2}}));
  EXPECT_EQ(report["user_count"], 5);
}

TEST(LocustStats, ReportsAreDeltasAndAddUp) {
  LocustStats stats;
  stats.clear(0);
  uint64_t requests = 0, failures = 0, timed = 0;
  for (int i = 0; i < 10; ++i) {
    stats.add({"GET", "/a"}, tally_of({1, 2, 3}, {4}), i, i + 1);
    stats.add({"GET", "/b"}, tally_of({5}, {}), i, i + 1);
    if (i % 3 != 2) continue;
    const json report = report_of(stats, i + 1);
    requests += report["stats_total"]["num_requests"].get<uint64_t>();
    failures += report["stats_total"]["num_failures"].get<uint64_t>();
    for (const auto& row : report["stats"])
      for (const auto& [ms, count] : row["response_times"].items()) timed += count.get<uint64_t>();
  }
  const json last = report_of(stats);
  requests += last["stats_total"]["num_requests"].get<uint64_t>();
  failures += last["stats_total"]["num_failures"].get<uint64_t>();
  EXPECT_EQ(requests, 50u);
  EXPECT_EQ(failures, 10u);
  EXPECT_EQ(timed, 45u);  // those of the last report are not in it
  const json none = report_of(stats);
  EXPECT_TRUE(none["stats"].empty());
  EXPECT_EQ(none["stats_total"]["num_requests"], 0);
  EXPECT_TRUE(none["stats_total"]["min_response_time"].is_null());
  EXPECT_TRUE(none["stats_total"]["last_request_timestamp"].is_null());
}

TEST(LocustStats, StreamedAnswersHaveRowsBesideThatAreNotInTheTotal) {
  LocustStats stats;
  stats.clear(0);
  Tally tally = tally_of({500}, {});
  tally.generation.ttft.record(from_ms(40));
  tally.generation.itl.record(from_ms(10), 20);
  stats.add({"POST", "chat"}, tally, 1, 2);
  const json report = report_of(stats);
  std::map<std::string, json> rows;
  for (const auto& row : report["stats"]) rows[row["method"]] = row;
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows["TTFT"]["name"], "chat");
  EXPECT_EQ(rows["TTFT"]["num_requests"], 1);
  EXPECT_EQ(rows["TTFT"]["response_times"]["40"], 1);
  EXPECT_EQ(rows["ITL"]["num_requests"], 20);
  EXPECT_EQ(report["stats_total"]["num_requests"], 1);
}

TEST(LocustStats, FinerAndCoarserSteps) {
  LocustStats fine(0.1), coarse(10);
  for (LocustStats* stats : {&fine, &coarse}) {
    stats->clear(0);
    stats->add({"GET", "/"}, tally_of({0.31, 57}, {}), 1, 2);
  }
  const json sharp = report_of(fine)["stats"][0]["response_times"];
  bool seen = false;
  for (const auto& [ms, count] : sharp.items()) seen |= std::abs(std::stod(ms) - 0.3) < 1e-9;
  EXPECT_TRUE(seen) << sharp.dump();
  EXPECT_EQ(report_of(coarse)["stats"][0]["response_times"], (json{{"0", 1}, {"60", 1}}));
}

TEST(LocustStats, ErrorsAreBounded) {
  LocustStats stats;
  stats.clear(0);
  for (int i = 0; i < 2000; ++i) stats.add_failure({"GET", "/"}, "error " + std::to_string(i), 5);
  const json report = report_of(stats);
  EXPECT_LE(report["errors"].size(), LocustStats::kErrorsMax + 1);
  uint64_t occurrences = 0;
  for (const auto& error : report["errors"]) occurrences += error["occurrences"].get<uint64_t>();
  EXPECT_EQ(occurrences, 2000u);
  EXPECT_EQ(report["stats_total"]["num_failures"], 2000);
}

}  // namespace
}  // namespace sis::perf
