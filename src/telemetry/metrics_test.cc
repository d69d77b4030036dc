#include "telemetry/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>
#include <thread>

namespace sis::telemetry {
namespace {

bool has_line(const std::string& text, const std::string& wanted) {
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    if (line == wanted) return true;
  return false;
}

constexpr const char* kPrometheusAccept =
    "application/openmetrics-text;version=1.0.0;q=0.5,application/"
    "openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

TEST(Metrics, BothTextFormats) {
  Registry registry;
  registry.counters("requests_total", "Requests.", {"model", "status"})
      .with({"a\"b\\c", "200"})
      .add(3);
  registry.gauge("depth", "Live depth.").set(2.5);
  Histogram& histogram = registry.histogram("latency_seconds", "Latency.", {0.005, 0.1, 1});
  histogram.observe(0.005);  // bounds are inclusive
  histogram.observe(0.05);
  histogram.observe(7);
  const auto plain = registry.expose("");
  EXPECT_EQ(plain.content_type, "text/plain; version=0.0.4; charset=utf-8");
  for (const char* line :
       {"# TYPE requests_total counter", "requests_total{model=\"a\\\"b\\\\c\",status=\"200\"} 3",
        "depth 2.5", "latency_seconds_bucket{le=\"0.005\"} 1",
        "latency_seconds_bucket{le=\"0.1\"} 2", "latency_seconds_bucket{le=\"1\"} 2",
        "latency_seconds_bucket{le=\"+Inf\"} 3", "latency_seconds_count 3"})
    EXPECT_TRUE(has_line(plain.body, line)) << line << "\n" << plain.body;
  const auto open = registry.expose(kPrometheusAccept);
  EXPECT_EQ(open.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
  for (const char* line :
       {"# TYPE requests counter", "requests_total{model=\"a\\\"b\\\\c\",status=\"200\"} 3",
        "# TYPE depth gauge", "latency_seconds_bucket{le=\"0.005\"} 1",
        "latency_seconds_bucket{le=\"+Inf\"} 3", "latency_seconds_sum 7.055"})
    EXPECT_TRUE(has_line(open.body, line)) << line << "\n" << open.body;
  EXPECT_TRUE(open.body.ends_with("# EOF\n"));
}

TEST(Metrics, AcceptIsWeighed) {
  EXPECT_TRUE(accepts_openmetrics(kPrometheusAccept));
  EXPECT_TRUE(accepts_openmetrics("application/OpenMetrics-text"));
  EXPECT_FALSE(accepts_openmetrics("application/openmetrics-text;q=0.1, text/plain"));
  EXPECT_FALSE(accepts_openmetrics("application/openmetrics-text;q=0"));
  EXPECT_FALSE(accepts_openmetrics("*/*"));
}

// Nothing is lost between threads, and a scrape during the run never sees a histogram at odds with
// itself.
TEST(Metrics, ThreadsLoseNothing) {
  Registry registry;
  Counter& counter = registry.counter("things_total", "Things.");
  Histogram& histogram = registry.histogram("sizes", "Sizes.", {1, 2, 4});
  Gauge& gauge = registry.gauge("open", "Open.");
  RecentQuantiles recent(1000);
  constexpr int kThreads = 4, kRounds = 20000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        counter.add();
        histogram.observe(i % 6);
        gauge.add(1);
        recent.observe(i);
      }
    });
  for (int i = 0; i < 20; ++i) {
    const auto snapshot = histogram.snapshot();
    EXPECT_LE(snapshot.count, static_cast<uint64_t>(kThreads) * kRounds);
    (void)registry.expose("");
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), static_cast<uint64_t>(kThreads) * kRounds);
  EXPECT_EQ(gauge.value(), kThreads * kRounds);
  const auto snapshot = histogram.snapshot();
  EXPECT_EQ(snapshot.count, static_cast<uint64_t>(kThreads) * kRounds);
  double sum = 0;
  for (int i = 0; i < kRounds; ++i) sum += kThreads * (i % 6);
  EXPECT_EQ(snapshot.sum, sum);
}

TEST(Metrics, LabelValuesAreBoundedAndPrintable) {
  Registry registry;
  auto& family = registry.counters("hits_total", "Hits.", {"name"});
  for (size_t i = 0; i < kSeriesMax + 50; ++i) family.with({std::to_string(i)}).add();
  EXPECT_EQ(family.with({"other"}).value(), 50u);
  EXPECT_EQ(&family.with({"5"}), &family.with({"5"}));
  EXPECT_EQ(&family.with({"never seen"}), &family.with({"other"}));
  auto& more = registry.counters("more_total", "More.", {"name"});
  more.with({"bad \xFF"}).add();
  more.with({std::string(100000, 'x')}).add();
  const auto body = registry.expose("").body;
  EXPECT_TRUE(has_line(body, "more_total{name=\"bad ?\"} 1"));
  EXPECT_TRUE(has_line(body, "more_total{name=\"" + std::string(256, 'x') + "\"} 1"));
}

TEST(Metrics, CallbacksRunOnScrapeUntilTheirHandleGoes) {
  Registry registry;
  int calls = 0;
  auto handle = registry.gauge_callback("live", "Live.", {"queue"}, [&] {
    ++calls;
    return std::vector<Sample>{{{"a"}, 1}, {{"b"}, 2}};
  });
  Gauge& depth = registry.gauge("depth", "Depth.");
  auto hook = registry.on_scrape([&] { depth.add(1); });
  EXPECT_EQ(calls, 0);
  EXPECT_TRUE(has_line(registry.expose("").body, "live{queue=\"b\"} 2"));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(depth.value(), 1);
  hook.reset();
  handle.reset();
  EXPECT_EQ(registry.expose("").body.find("live"), std::string::npos);
  EXPECT_EQ(depth.value(), 1);
  EXPECT_EQ(calls, 1);
}

TEST(Metrics, MisuseStopsTheProcess) {
  Registry registry;
  (void)registry.counter("a_total", "");
  EXPECT_DEATH((void)registry.gauge("a_total", ""), "declared twice");
  EXPECT_DEATH((void)registry.counter("requests", ""), "must end in _total");
  EXPECT_DEATH((void)registry.gauge("bad name", ""), "metric name");
  EXPECT_DEATH((void)registry.gauges("g", "", {"x"}).with({"1", "2"}), "labels=1 values=2");
}

TEST(Metrics, RecentQuantilesForgetOldSamples) {
  RecentQuantiles recent(100);
  EXPECT_EQ(recent.quantiles({0.5, 0.99}), (std::vector<double>{0, 0}));
  recent.observe(7);
  EXPECT_EQ(recent.quantiles({0, 0.5, 1}), (std::vector<double>{7, 7, 7}));
  for (int i = 0; i < 1000; ++i) recent.observe(1000);
  for (int i = 1; i <= 100; ++i) recent.observe(i);
  EXPECT_EQ(recent.quantiles({0.5, 0.95, 0.99}), (std::vector<double>{50, 95, 99}));
}

// The figures of this very process, read as a scraper reads them.
TEST(Metrics, ProcessFigures) {
  Registry registry;
  const auto handle = expose_process(registry);
  const std::string body = registry.expose("").body;
  const auto value = [&](const std::string& name) {
    const size_t at = body.find("\n" + name + " ");
    return at == std::string::npos ? NAN : std::stod(body.substr(at + name.size() + 2));
  };
  EXPECT_GT(value("process_resident_memory_bytes"), 1e6);
  EXPECT_GE(value("process_virtual_memory_bytes"), value("process_resident_memory_bytes"));
  EXPECT_GE(value("process_open_fds"), 3);
  EXPECT_GE(value("process_max_fds"), value("process_open_fds"));
  EXPECT_GE(value("process_cpu_seconds_total"), 0);
  EXPECT_GE(value("process_uptime_seconds"), 0);
  EXPECT_LT(value("process_uptime_seconds"), 3600);
  const double now = static_cast<double>(time(nullptr));
  EXPECT_NEAR(value("process_start_time_seconds"), now, 3600);
  EXPECT_GE(value("process_cpu_percent"), 0);
  EXPECT_GT(value("process_memory_bytes"), 1e6);
}

}  // namespace
}  // namespace sis::telemetry
