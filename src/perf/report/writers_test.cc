// The columns, keys and lines other tools look for are there, hold the right figures, and survive
// empty, failed and hostile documents.
#include <gtest/gtest.h>

#include <sstream>

#include "base/strings.h"
#include "perf/report/conclusion.h"
#include "perf/report/csv_report.h"
#include "perf/report/hgrm_report.h"
#include "perf/report/k6_report.h"
#include "perf/report/markdown_report.h"
#include "perf/report/report_files.h"
#include "perf/report/report_fixture.h"
#include "perf/report/report_text.h"

namespace sis::perf {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

Json with_server(Json run) {
  run["server"] = {{"kind", "triton"},
                   {"queue_ms", 1.5},
                   {"compute_input_ms", 0.25},
                   {"compute_infer_ms", 6},
                   {"compute_output_ms", 0.125}};
  return run;
}

TEST(Csv, RowsOfASweepByThroughput) {
  const auto csv = csv_report(report_of(sweep_json()));
  const auto lines = lines_of(csv);
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0],
            "Concurrency,Inferences/Second,Client Send,Client Recv,p50 latency,p90 latency,"
            "p95 latency,p99 latency");
  EXPECT_EQ(lines[1], "1,100,500,250,10000,10000,10000,10000");
  EXPECT_TRUE(lines[2].starts_with("2,198,")) << lines[2];
  EXPECT_TRUE(lines[4].starts_with("8,405,500,250,20000,")) << lines[4];
}

TEST(Csv, ServerColumnsAndRates) {
  Json document = document_of(Json::array({with_server(run_json())}));
  document["runs"][0]["level"] = {{"request_rate", 12.5}};
  const auto lines = lines_of(csv_report(report_of(document)));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0],
            "Request Rate,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,"
            "Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,"
            "p50 latency,p90 latency,p95 latency,p99 latency");
  // Mean (900 * 10 + 81 * 50 + 9 * 400) / 990 = 16.818 ms, less 0.75 and 7.875; 50 ms lie in a
  // counter whose middle is 49.987.
  EXPECT_EQ(lines[1], "12.5,99,500,8193,1500,250,6000,125,250,10000,10000,49987,49987");
}

TEST(Csv, SaysWhichRunWhenTheyDiffer) {
  Json second = run_json();
  second["model"] = "=cmd(\"x\"),y";
  const auto lines = lines_of(csv_report(report_of(document_of({run_json(), second}))));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_TRUE(lines[0].ends_with(",Run")) << lines[0];
  EXPECT_TRUE(lines[1].ends_with(",embeddings demo")) << lines[1];
  EXPECT_TRUE(lines[2].ends_with(",\"embeddings =cmd(\"\"x\"\"),y\"")) << lines[2];
  second["loop"] = "open";
  second["rate"] = 120.0;
  const auto mixed = lines_of(csv_report(report_of(document_of({run_json(), second}))));
  EXPECT_TRUE(mixed[0].starts_with("Concurrency,Request Rate,Inferences/Second,")) << mixed[0];
  EXPECT_TRUE(mixed[1].starts_with("8,,99,")) << mixed[1];
  EXPECT_TRUE(mixed[2].starts_with(",120,99,")) << mixed[2];
  EXPECT_EQ(lines_of(csv_report(report_of(failed_json()))).size(), 1u);
  EXPECT_EQ(lines_of(csv_report(report_of(document_of(Json::array())))).size(), 1u);
}

// Columns of HdrHistogram's own output for the same values (10 at 1 ms, 1 at 5 ms).
TEST(Hgrm, WalksAsHdrHistogram) {
  Json run = run_json();
  run["latency_ms"] = times_json({{1, 10}, {5, 1}});
  const auto files = hgrm_files(report_of(document_of(Json::array({run}))));
  ASSERT_EQ(files.size(), 1u);
  const auto lines = lines_of(files[0].second);
  EXPECT_EQ(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
  EXPECT_EQ(lines[1], "");
  EXPECT_EQ(lines[2], "       1.000 0.000000000000         10           1.00");
  EXPECT_EQ(lines[3], "       1.000 0.100000000000         10           1.11");
  EXPECT_EQ(lines[7], "       1.000 0.500000000000         10           2.00");
  EXPECT_EQ(lines[8], "       1.000 0.550000000000         10           2.22");
  const size_t n = lines.size();
  EXPECT_EQ(lines[n - 4], "       5.000 1.000000000000         11");
  EXPECT_TRUE(lines[n - 5].starts_with("       5.000 0.9")) << lines[n - 5];
  EXPECT_TRUE(lines[n - 6].starts_with("       1.000 0.9")) << lines[n - 6];
  EXPECT_EQ(lines[n - 3], "#[Mean    =        1.364, StdDeviation   =        1.206]");
  EXPECT_EQ(lines[n - 2], "#[Max     =        5.000, Total count    =           11]");
  EXPECT_TRUE(lines[n - 1].starts_with("#[Buckets =")) << lines[n - 1];
  double percentile = -1;
  for (size_t i = 2; i < n - 3; ++i) {
    const double next = std::stod(lines[i].substr(13, 14));
    EXPECT_GT(next, percentile);
    percentile = next;
  }
}

TEST(Hgrm, AFileForEachRunAndForServiceTimes) {
  const auto files = hgrm_files(report_of(hostile_json()));
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[1].first, ".service");
  EXPECT_EQ(hgrm_files(report_of(sweep_json())).back().first, ".4");
  EXPECT_EQ(lines_of(hgrm_files(report_of(failed_json()))[0].second).size(), 5u);
  EXPECT_EQ(with_suffix("out.d/run.hgrm", ".2"), "out.d/run.2.hgrm");
  EXPECT_EQ(with_suffix("out.d/run", ".2"), "out.d/run.2");
  EXPECT_EQ(with_suffix(".run", ".2"), ".run.2");
}

// Every key that an export of k6 1.8 has (plain HTTP, a threshold crossed and one met).
TEST(K6, SummaryExportHasItsKeys) {
  Json document = document_of(Json::array({run_json()}));
  document["runs"][0]["thresholds"] = {
      {{"metric", "http_req_duration"}, {"threshold", "p(95)<200"}, {"value", 50.0}, {"ok", true}},
      {{"metric", "http_req_failed"}, {"threshold", "rate<0.001"}, {"value", 0.01}, {"ok", false}},
      {{"metric", "mine"}, {"threshold", "value<3"}, {"value", 2}, {"ok", true}}};
  const Json json = Json::parse(k6_summary_export(report_of(document)));
  EXPECT_EQ(
      json["root_group"].dump(),
      R"({"name":"","path":"","id":"d41d8cd98f00b204e9800998ecf8427e","groups":{},"checks":{}})");
  const Json& metrics = json["metrics"];
  for (const char* name :
       {"http_req_duration", "http_req_duration{expected_response:true}", "http_req_waiting",
        "http_req_connecting", "http_req_tls_handshaking", "http_req_sending", "http_req_receiving",
        "http_req_blocked", "iteration_duration"}) {
    ASSERT_TRUE(metrics.contains(name)) << name;
    for (const char* key : {"avg", "min", "med", "max", "p(90)", "p(95)"})
      EXPECT_TRUE(metrics[name][key].is_number()) << name << " " << key;
  }
  EXPECT_EQ(metrics["http_reqs"].dump(), R"({"count":1000,"rate":100})");
  EXPECT_EQ(metrics["iterations"], metrics["http_reqs"]);
  EXPECT_EQ(metrics["data_sent"]["count"], 250'000);
  EXPECT_EQ(metrics["data_received"]["rate"], 820'000);
  EXPECT_EQ(metrics["vus"].dump(), R"({"value":8,"min":8,"max":8})");
  EXPECT_EQ(metrics["vus_max"]["max"], 8);
  EXPECT_EQ(metrics["http_req_failed"].dump(),
            R"({"value":0.01,"passes":10,"fails":990,"thresholds":{"rate<0.001":true}})");
  // In this shape true means crossed.
  EXPECT_EQ(metrics["http_req_duration"]["thresholds"]["p(95)<200"], false);
  EXPECT_EQ(metrics["mine"]["thresholds"]["value<3"], false);
  // All requests, and the good ones alone.
  EXPECT_NEAR(metrics["http_req_duration"]["min"].get<double>(), 1, 1e-9);
  EXPECT_NEAR(metrics["http_req_duration{expected_response:true}"]["min"].get<double>(), 10, 1e-9);
  EXPECT_NEAR(metrics["http_req_duration"]["p(95)"].get<double>(), 50, 0.05);
}

TEST(K6, OtherShapesAndSeveralRuns) {
  const Json handle = Json::parse(k6_handle_summary(report_of(hostile_json())));
  EXPECT_TRUE(handle["root_group"]["checks"].is_array());
  EXPECT_EQ(handle["state"]["testRunDurationMs"], 10'000);
  const Json& failed = handle["metrics"]["http_req_failed"];
  EXPECT_EQ(failed["type"], "rate");
  EXPECT_EQ(failed["values"]["rate"], 0.01);
  EXPECT_EQ(failed["thresholds"]["rate<0.001"]["ok"], false);
  EXPECT_EQ(handle["metrics"]["http_req_duration"]["contains"], "time");
  EXPECT_EQ(handle["metrics"]["dropped_iterations"]["values"]["count"], 3);
  EXPECT_TRUE(handle["metrics"].contains("http_reqs{scenario:GET /health}"));
  // Service times: what k6 would have seen. Latency: what the users would have.
  EXPECT_NEAR(handle["metrics"]["http_req_duration"]["values"]["p(95)"].get<double>(), 10, 0.01);
  EXPECT_NEAR(handle["metrics"]["latency"]["values"]["p(95)"].get<double>(), 50, 0.05);

  const Json machine = Json::parse(k6_machine_summary(report_of(sweep_json())));
  EXPECT_EQ(machine["version"], "1.0.0");
  EXPECT_EQ(machine["config"]["duration"], 40);
  EXPECT_EQ(machine["metadata"].dump(),
            R"({"generated_at":"2026-01-31T12:00:00Z","k6_version":"sis 1.2.3"})");
  bool found = false;
  for (const Json& metric : machine["results"]["metrics"])
    if (metric["name"] == "http_req_failed") {
      found = true;
      EXPECT_EQ(metric["values"].dump(), R"({"matches":40,"total":4000,"rate":0.01})");
    }
  EXPECT_TRUE(found);
  for (const Json& metric : machine["results"]["metrics"]) {
    if (metric["type"] == "counter") {
      EXPECT_EQ(metric["values"].size(), 1u);
    }
    if (metric["type"] == "trend") {
      for (const char* key : {"avg", "min", "med", "max", "p90", "p95", "p99"})
        EXPECT_TRUE(metric["values"].contains(key)) << key;
    }
  }
  EXPECT_EQ(Json::parse(k6_summary_export(report_of(failed_json())))["metrics"], Json::object());
}

TEST(Markdown, TheTemplate) {
  const std::string text = markdown_report(report_of(document_of(Json::array({run_json()}))));
  for (const char* piece :
       {"## Load Test Run: 2026-01-31T12:00:00Z\n", "**Configuration**:\n", "- Users: 8\n",
        "- Duration: 10 seconds\n", "- Host: http://localhost:8000\n",
        "| Endpoint | Method | Count | Mean (ms) | Min (ms) | Max (ms) | P50 (ms) | P95 (ms) | P99 "
        "(ms) "
        "| Fail % |\n",
        "| embeddings | POST | 1000 | 16.8 | 10.0 | 400 | 10.0 | 50.0 | 50.0 | 1.00 % |\n",
        "**Total RPS**: 99.0 (990 good answers, 10.0 s)\n",
        "**Throughput**: 99.0 texts/s (12.4 requests/s per user)\n",
        "**Conclusion**: 10 of 1,000 requests failed (1.00 %), most often with: "})
    EXPECT_NE(text.find(piece), std::string::npos) << piece << "\n" << text;
}

TEST(Markdown, HostileTextsStayText) {
  const std::string text = markdown_report(report_of(hostile_json()));
  EXPECT_EQ(text.find("<script"), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find("\n# "), std::string::npos);
  EXPECT_EQ(text.find("[a](b)"), std::string::npos);
  EXPECT_NE(text.find("| /predict | POST | 333 |"), std::string::npos) << text;
  EXPECT_NE(text.find("| http\\_req\\_failed | rate&lt;0.001 | 0.0100 | **no** |"),
            std::string::npos)
      << text;
  for (const auto& line : lines_of(text)) {
    if (!line.starts_with("| ") || line.starts_with("| Measure")) continue;
    size_t bars = 0;
    for (size_t i = 0; i < line.size(); ++i)
      bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
    EXPECT_TRUE(bars == 11 || bars == 7 || bars == 5) << line;
  }
}

TEST(Conclusion, SaysWhatTheFiguresSay) {
  const auto all = [](const Json& document) {
    std::string out;
    for (const auto& sentence : run_conclusions(report_of(document).runs[0]))
      out += sentence + "\n";
    return out;
  };
  Json document = document_of(Json::array({run_json()}));
  Json& run = document["runs"][0];
  const auto says = [&](const char* words) {
    const std::string text = all(document);
    return text.find(words) != std::string::npos;
  };
  EXPECT_TRUE(says("99 of 100 at most 50.0 ms")) << all(document);
  EXPECT_FALSE(says("tail is long"));
  EXPECT_FALSE(says("rose during"));
  run["latency_ms"] = times_json({{10, 900}, {400, 90}});
  EXPECT_TRUE(says("p99 is 40.0 times p50")) << all(document);
  for (size_t i = 0; i < 10; ++i) run["windows"][i]["p50_ms"] = 10.0 + 3 * static_cast<double>(i);
  EXPECT_TRUE(says("Latency rose during the run, typically from 13.0 ms")) << all(document);
  for (size_t i = 0; i < 10; ++i) run["windows"][i]["p50_ms"] = 40.0 - 3 * static_cast<double>(i);
  EXPECT_TRUE(says("warm-up was too short")) << all(document);
  run["service_ms"] = times_json({{10, 990}});
  EXPECT_TRUE(says("Counted from the actual send, p99 would look like 10.0 ms")) << all(document);
  run["unsent_waited_ms"] = times_json({{500, 110}});
  run["latency_all_due_ms"] = times_json({{10, 900}, {502, 200}});
  EXPECT_TRUE(
      says("110 more requests were due and never sent. With what they had waited at the "
           "end, p99 of all is at least 502 ms."))
      << all(document);
  EXPECT_NE(report_text(report_of(document)).find("all due, at least"), std::string::npos);
  run["verdict"] = "generator saturated";
  EXPECT_TRUE(says("limit of the load generator"));
  document["runs"][0] = with_server(run_json());
  EXPECT_TRUE(says("Most of the time goes to the network")) << all(document);
  run["server"] = {{"kind", "sis"},
                   {"queue_ms", 1.5},
                   {"prefill_ms", 2.5},
                   {"decode_ms", 12},
                   {"request_ms", 16}};
  EXPECT_TRUE(
      says("Most of the time goes to decode: 12.0 ms of 16.8 ms on average (71 %), as the server "
           "tells."))
      << all(document);
  EXPECT_TRUE(all(failed_json()).find("The run failed: connection refused.") != std::string::npos);
}

TEST(Conclusion, KneeOfASweep) {
  const Report report = report_of(sweep_json());
  ASSERT_TRUE(report.is_sweep());
  EXPECT_EQ(report.runs[knee_of(report)].level_concurrency, 4.0);
  EXPECT_EQ(runs_by_level(report), (std::vector<size_t>{1, 2, 3, 0}));
  const std::string text = sweep_text(report);
  EXPECT_NE(text.find("Beyond concurrency 4 "), std::string::npos) << text;
  EXPECT_NE(text.find("not stable"), std::string::npos) << text;
  EXPECT_EQ(sweep_text(report_of(hostile_json())), "");
}

TEST(ReportText, HostileTextsCannotSteerTheTerminal) {
  const std::string text = report_text(report_of(hostile_json()));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("✗ http_req_failed rate<0.001: 0.0100"), std::string::npos) << text;
  EXPECT_NE(report_text(report_of(failed_json())).find("connection refused"), std::string::npos);
  EXPECT_EQ(report_text(report_of(document_of(Json::array()))), "no runs\n");
}

}  // namespace
}  // namespace sis::perf
