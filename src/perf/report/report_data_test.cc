// Documents are read as they were written, and a wrong one is refused with the place of its fault.
#include "perf/report/report_data.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "base/strings.h"
#include "perf/report/report_fixture.h"
#include "perf/report/summary.h"
#include "perf/report/write_file.h"

namespace sis::perf {
namespace {

TEST(ReportData, ReadsWhatSummaryWrote) {
  RunOptions options{.url = *net::parse_url("http://localhost:8000"), .connections = 8};
  options.rate = 250;
  RunResult result;
  Tally& tally = result.tally;
  for (int i = 0; i < 1000; ++i) tally.latency.record(from_ms(1 + i * 0.1));
  for (int i = 0; i < 1000; ++i) tally.service.record(from_ms(2));
  tally.sent = tally.ok = 1000;
  tally.failed = 3;
  tally.statuses[503] = 3;
  tally.started = TimePoint(from_seconds(100));
  tally.last_done = TimePoint(from_seconds(104));
  tally.timeline = {{.ok = 3, .failed = 1, .latency_sum_ms = 9, .latency_max_ms = 5}};
  const Json run = summary_json({.what = "chat", .model = "m"}, options, result);
  const Report report = report_of(document_json({.version = "1"}, Json::array({run})));
  ASSERT_EQ(report.runs.size(), 1u);
  const RunData& data = report.runs[0];
  EXPECT_TRUE(data.measured);
  EXPECT_TRUE(data.open_loop());
  EXPECT_EQ(data.requests, 1003u);
  EXPECT_EQ(data.statuses, (Counts{{"503", 3}}));
  // Quantiles from the counts are those of the histogram itself.
  for (const double q : {0.0, 0.001, 0.3, 0.5, 0.9, 0.99, 0.999, 1.0})
    EXPECT_NEAR(*data.latency.quantile_ms(q), tally.latency.quantile_ms(q), 1e-6) << q;
  EXPECT_NEAR(*data.latency.share_within(50), tally.latency.share_within(50), 1e-9);
  EXPECT_EQ(&data.service_times(), &data.service);
  ASSERT_GE(data.windows.size(), 1u);
}

TEST(ReportData, MergedHistogramsAreAsIfMeasuredTogether) {
  Histogram a, b, both;
  for (int i = 0; i < 1000; ++i) {
    (i % 3 == 0 ? a : b).record(from_ms(1 + i * 0.37));
    both.record(from_ms(1 + i * 0.37));
  }
  const auto data = [](const Histogram& histogram) {
    Json run = run_json();
    run["latency_ms"] = histogram_json(histogram, true);
    return report_of(document_of(Json::array({run}))).runs[0].latency;
  };
  HistogramData merged = data(a);
  merged.merge(data(b));
  EXPECT_EQ(merged.count, both.count());
  EXPECT_NEAR(merged.mean_ms, both.mean_ms(), 1e-9);
  EXPECT_NEAR(merged.stdev_ms, both.stdev_ms(), 1e-6);
  for (const double q : {0.1, 0.5, 0.99})
    EXPECT_NEAR(*merged.quantile_ms(q), both.quantile_ms(q), 1e-6);
  // A side without counts: percentiles are not made up.
  HistogramData counted = data(a), bare = data(b);
  bare.counts_ms.clear();
  EXPECT_TRUE(bare.quantile_ms(0.99).has_value());
  EXPECT_FALSE(bare.quantile_ms(0.42).has_value());
  counted.merge(bare);
  EXPECT_EQ(counted.count, both.count());
  EXPECT_FALSE(counted.quantile_ms(0.99).has_value());
}

TEST(ReportData, AWrongDocumentIsRefusedWithThePlace) {
  const auto message = [](const Json& document) {
    const auto report = parse_report(document);
    return report.ok() ? std::string("accepted") : report.error().message;
  };
  const auto with = [](const char* pointer, const Json& value) {
    Json document = hostile_json();
    document[Json::json_pointer(pointer)] = value;
    return document;
  };
  EXPECT_EQ(message(nullptr), "document: want an object, found null");
  EXPECT_EQ(message(Json::array()), "document: want an object, found an array");
  EXPECT_EQ(message(Json::object()), "runs: want an array of runs, found none");
  EXPECT_EQ(message(with("/runs", 3)), "runs: want an array, found the number 3");
  EXPECT_EQ(message(with("/runs/0", "x")), "runs[0]: want an object, found a string");
  EXPECT_EQ(message(with("/machine/cores", -1)),
            "machine.cores: want a whole number of at least 0, found the number -1");
  EXPECT_EQ(message(with("/runs/0/latency_ms/p99", "fast")),
            "runs[0].latency_ms.p99: want a number of reasonable size, found a string");
  EXPECT_EQ(message(with("/runs/0/requests", 1.5)),
            "runs[0].requests: want a whole number of at least 0, found the number 1.5");
  EXPECT_EQ(message(with("/runs/0/model", 7)), "runs[0].model: want a string, found the number 7");
  EXPECT_EQ(message(with("/runs/0/latency_ms/counts_up_to_ms/1", Json::array({1.0, 5}))),
            "runs[0].latency_ms.counts_up_to_ms[1]: want upper ends that rise");
  EXPECT_EQ(message(with("/runs/0/latency_ms/counts_up_to_ms/1", Json::array({1.0}))),
            "runs[0].latency_ms.counts_up_to_ms[1]: want [upper end in ms, count], found an array");
  EXPECT_EQ(message(with("/runs/0/latency_ms/count", 7)),
            "runs[0].latency_ms.count: says 7, but the counts add up to 990");
  EXPECT_EQ(message(with("/runs/0/windows/3/length_s", 0)),
            "runs[0].windows[3]: want start_s of at least 0 and length_s above 0");
  EXPECT_EQ(message(with("/runs/0/thresholds/0/ok", "yes")),
            "runs[0].thresholds[0].ok: want true or false, found a string");
  EXPECT_EQ(message(with("/runs/0/wall_s", 1e300)),
            "runs[0].wall_s: want a number of reasonable size, found the number 1e+300");
  EXPECT_EQ(message(with("/runs/0/parts", Json::object())),
            "runs[0].parts: want an array, found an object");
  EXPECT_EQ(message(with("/runs", Json(std::vector<Json>(1001, Json::object())))),
            "runs: want at most 1000 elements, found 1001");
  EXPECT_EQ(message(hostile_json()), "accepted");
}

TEST(ReportData, FilesAreBoundedInDepthAndCheckedForSyntax) {
  const std::string path = testing::TempDir() + "report_data_test.json";
  const auto message = [&](std::string_view text) {
    EXPECT_TRUE(write_file(path, text).ok());
    const auto report = read_report(path);
    return report.ok() ? std::string("accepted") : report.error().message;
  };
  EXPECT_EQ(message(sweep_json().dump()), "accepted");
  EXPECT_NE(message("{\"runs\": [").find(": not JSON: "), std::string::npos);
  EXPECT_NE(message("{\"runs\": [1e999]}").find(": not JSON: "), std::string::npos);
  EXPECT_NE(message("\xff").find(": not JSON: "), std::string::npos);
  EXPECT_NE(message("").find(": not JSON: "), std::string::npos);
  EXPECT_EQ(message("{\"runs\": []}"), "accepted");
  // Deep enough to overrun the stack of a recursive reader.
  EXPECT_EQ(
      message(concat("{\"runs\": ", std::string(2'000'000, '['), std::string(2'000'000, ']'), "}")),
      concat(path, ": nested deeper than 24 levels"));
  EXPECT_NE(message("{\"runs\": [{\"what\": 1}]}").find(path + ": runs[0].what: want a string"),
            std::string::npos);
  std::remove(path.c_str());
  EXPECT_EQ(read_report(path).error().message, path + ": no such file");
}

TEST(ReportData, EmptyWindowsHaveNoLatency) {
  const Report report = report_of(document_of(Json::array({run_json()})));
  EXPECT_TRUE(report.runs[0].windows[4].p99_ms.has_value());
  EXPECT_FALSE(report.runs[0].windows[5].p99_ms.has_value());
}

TEST(ReportData, ServersFiguresLieUnderTheirPaths) {
  const Report report = report_of(hostile_json());
  ASSERT_EQ(report.runs[0].servers.size(), 1u);
  const ServerData& server = report.runs[0].servers[0];
  EXPECT_DOUBLE_EQ(server.find("queue_ms").value_or(-1), 2);
  EXPECT_DOUBLE_EQ(server.find("prefill_ms").value_or(-1), 1.5);
  EXPECT_FALSE(server.find("compute_ms").has_value());
  EXPECT_EQ(server.facts.size(), 4u);
}

TEST(WriteFile, WholeOrNotAtAll) {
  const std::string folder = testing::TempDir() + "write_file_test";
  EXPECT_EQ(std::system(concat("rm -rf ", folder, " && mkdir ", folder).c_str()), 0);
  const std::string path = folder + "/a";
  EXPECT_TRUE(write_file(path, "one").ok());
  EXPECT_TRUE(write_file(path, "two").ok());
  EXPECT_EQ(std::system(concat("test \"$(cat ", path, ")\" = two").c_str()), 0);
  EXPECT_EQ(std::system(concat("test \"$(ls ", folder, ")\" = a").c_str()), 0)
      << "left scratch files";
  // A link stays a link.
  EXPECT_EQ(std::system(concat("ln -s a ", folder, "/link").c_str()), 0);
  EXPECT_TRUE(write_file(folder + "/link", "three").ok());
  EXPECT_EQ(std::system(
                concat("test -L ", folder, "/link && test \"$(cat ", path, ")\" = three").c_str()),
            0);
  EXPECT_TRUE(write_file("/dev/null", "x").ok());
  EXPECT_EQ(std::system("test -c /dev/null"), 0);
  EXPECT_EQ(write_file(folder + "/no/a", "x").error().message,
            concat("cannot write '", folder, "/no/a': No such file or directory"));
  EXPECT_EQ(write_file(folder, "x").error().message,
            concat("cannot write '", folder, "': Is a directory"));
  EXPECT_FALSE(write_file("", "x").ok());
  EXPECT_EQ(write_file("/dev/full", "x").error().message,
            "cannot write '/dev/full': No space left on device");
}

// What write_file() would say, with nothing done: no file, no change, no end of file for a pipe's
// reader.
TEST(WriteFile, CheckedBeforehand) {
  const std::string folder = testing::TempDir() + "check_writable_test";
  EXPECT_EQ(std::system(concat("rm -rf ", folder, " && mkdir ", folder).c_str()), 0);
  EXPECT_TRUE(write_file(folder + "/a", "one").ok());
  EXPECT_EQ(std::system(concat("ln -s a ", folder, "/link && mkfifo ", folder, "/pipe").c_str()),
            0);
  // Nobody reads the pipe: opening it would not come back.
  for (const char* name : {"/a", "/new", "/link", "/pipe"})
    EXPECT_TRUE(check_writable(folder + name).ok()) << name;
  EXPECT_TRUE(check_writable("/dev/null").ok());
  EXPECT_EQ(
      std::system(concat("test \"$(ls ", folder, " | tr '\\n' ' ')\" = 'a link pipe '").c_str()), 0)
      << "left scratch files";
  EXPECT_EQ(std::system(concat("test \"$(cat ", folder, "/a)\" = one").c_str()), 0);
  for (const std::string& path : {folder, folder + "/no/a", folder + "/a/b", std::string()}) {
    const Status checked = check_writable(path), written = write_file(path, "x");
    ASSERT_FALSE(checked.ok() || written.ok()) << path;
    EXPECT_EQ(checked.error().message, written.error().message);
  }
}

}  // namespace
}  // namespace sis::perf
