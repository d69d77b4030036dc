// What one observation costs, from 1 to 3 threads at once, beside prometheus-cpp's own metrics.
//
//   telemetry_bench [--smoke]
//
// Each thread makes `rounds` observations on the same metric; the figure is wall time per
// observation of one thread (so that contention shows), the median of five runs.
#include <fcntl.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <numeric>
#include <thread>
#include <vector>

#include "base/thread_team.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "telemetry/otlp_json.h"
#include "telemetry/stages.h"
#include "telemetry/tracer.h"

#ifndef SIS_COMMIT
#define SIS_COMMIT "unknown"
#endif

namespace {

using namespace sis::telemetry;

const std::vector<double> kBounds = {.01, .05, .1, .25, .5, 1, 2.5, 5, 10};

double thread_cpu_ns() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double run_once(int threads, int64_t rounds, const std::function<void(int64_t)>& body) {
  std::vector<std::thread> team;
  std::vector<double> spent(threads);
  for (int t = 0; t < threads; ++t)
    team.emplace_back([&, t] {
      const double begin = thread_cpu_ns();
      body(rounds);
      spent[t] = thread_cpu_ns() - begin;
    });
  for (auto& thread : team) thread.join();
  return std::accumulate(spent.begin(), spent.end(), 0.0) / static_cast<double>(rounds * threads);
}

void report(const char* name, int64_t rounds, const std::function<void(int64_t)>& body) {
  std::printf("%-34s", name);
  for (const int threads : {1, 2, 3}) {
    std::vector<double> runs;
    for (int i = 0; i < 5; ++i) runs.push_back(run_once(threads, rounds, body));
    std::sort(runs.begin(), runs.end());
    std::printf("  %8.1f", runs[2]);
  }
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  const bool smoke = argc > 1 && std::strcmp(argv[1], "--smoke") == 0;
  const int64_t rounds = smoke ? 1000 : 2'000'000;
  std::printf("commit %s, %d cores, %ld observations per thread and run, CPU ns per observation\n",
              SIS_COMMIT, sis::available_cores(), static_cast<long>(rounds));
  std::printf("%-34s  %8s  %8s  %8s\n", "", "1 thread", "2", "3");

  Registry registry;
  Counter& counter = registry.counter("a_total", "");
  Histogram& histogram = registry.histogram("b", "", kBounds);
  Gauge& gauge = registry.gauge("c", "");
  RecentQuantiles recent(10000);
  prometheus::Counter other_counter;
  prometheus::Histogram other_histogram(kBounds);
  const auto value = [](int64_t i) { return static_cast<double>(i & 255) * 0.01; };

  report("counter", rounds, [&](int64_t n) {
    for (int64_t i = 0; i < n; ++i) counter.add();
  });
  report("counter, prometheus-cpp", rounds, [&](int64_t n) {
    for (int64_t i = 0; i < n; ++i) other_counter.Increment();
  });
  report("histogram", rounds, [&](int64_t n) {
    for (int64_t i = 0; i < n; ++i) histogram.observe(value(i));
  });
  report("histogram, prometheus-cpp", rounds, [&](int64_t n) {
    for (int64_t i = 0; i < n; ++i) other_histogram.Observe(value(i));
  });
  report("gauge set", rounds, [&](int64_t n) {
    for (int64_t i = 0; i < n; ++i) gauge.set(value(i));
  });
  report("recent quantiles", rounds, [&](int64_t n) {
    for (int64_t i = 0; i < n; ++i) recent.observe(value(i));
  });

  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  const int64_t lines = smoke ? 1000 : 300'000;
  {
    const Logger on = open_log({.fd = null});
    const Logger off = open_log({.level = Level::kWarning, .fd = null});
    const auto line = [&](const Logger& log) {
      return [&log](int64_t n) {
        for (int64_t i = 0; i < n; ++i)
          log.log(Level::kInfo, "embedding_request", "7f3a5c0e9b1d4f6a8c2e0b4d6f8a1c3e",
                  {{"model", "BAAI/bge-m3"},
                   {"latency_ms", 0.125},
                   {"status", 200},
                   {"batch_size", 1}});
      };
    };
    report("log line below the level", rounds, line(off));
    report("log line", lines, line(on));
  }
  close(null);
  report("Server-Timing header", lines, [](int64_t n) {
    const sis::SteadyClock clock;
    for (int64_t i = 0; i < n; ++i) {
      StageTimer timer(clock.now());
      timer.mark(Stage::kParse, clock.now());
      timer.mark(Stage::kCache, clock.now());
      timer.mark(Stage::kWrite, clock.now());
      if (timer.server_timing(clock.now()).empty()) std::abort();
    }
  });
  const Tracer tracer;
  const std::string_view parents[] = {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
  report("new trace", lines, [&](int64_t n) {
    for (int64_t i = 0; i < n; ++i)
      if (tracer.begin({}, {}).own.span_id == SpanId{}) std::abort();
  });
  report("trace of a traceparent", lines, [&](int64_t n) {
    for (int64_t i = 0; i < n; ++i)
      if (tracer.begin(parents, {}).parent == SpanId{}) std::abort();
  });
  const std::vector<Span> portion(512,
                                  {.trace_id = make_trace_id(),
                                   .span_id = make_span_id(),
                                   .parent = make_span_id(),
                                   .name = "POST /v1/embeddings",
                                   .attributes = {{"http.request.method", "POST"},
                                                  {"http.response.status_code", int64_t{200}}}});
  report("OTLP JSON, per span", smoke ? 512 : 1 << 16, [&](int64_t n) {
    for (int64_t i = 0; i < n; i += 512)
      if (otlp_json({}, portion).empty()) std::abort();
  });
  const auto begin = std::chrono::steady_clock::now();
  const auto body = registry.expose("").body;
  std::printf(
      "one scrape: %.3f ms, %zu bytes\n",
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count(),
      body.size());
  return counter.value() > 0 ? 0 : 1;
}
