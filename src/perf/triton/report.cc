#include "perf/triton/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/strings.h"

namespace sis::perf {
namespace {

constexpr double kDelayedMs = 1.0;      // a send later than this counts as delayed
constexpr double kDelayedShare = 0.01;  // of all sends, before it is worth a warning

// Whole nanoseconds first: 0.05 ms are 50 us, whatever the double says.
int64_t us(double ms) { return std::llround(ms * 1e6) / 1000; }
uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

std::string server_text(const PerfModel& model, const ServerStats& stats, int depth) {
  const std::string indent(static_cast<size_t>(2 * depth), ' ');
  const ModelStats& own = stats.own;
  std::string out;
  if (own.success.count == 0) return fmt::format("{}  Request count: 0\n", indent);
  out += fmt::format("{0}  Inference count: {1}\n{0}  Execution count: {2}\n", indent,
                     own.inference_count, own.execution_count);
  if (model.cache)
    out += fmt::format("{0}  Cache hit count: {1}\n{0}  Cache miss count: {2}\n", indent,
                       own.cache_hit.count, own.cache_miss.count);
  const uint64_t mean = own.success.mean_us();
  out += fmt::format("{0}  Successful request count: {1}\n{0}  Avg request latency: {2} usec",
                     indent, own.success.count, mean);
  if (stats.children.empty()) {
    const uint64_t queue = own.queue.mean_us(), input = own.compute_input.mean_us(),
                   infer = own.compute_infer.mean_us(), output = own.compute_output.mean_us(),
                   compute = compute_mean_us(own);
    const std::string stages =
        fmt::format("compute input {} usec + compute infer {} usec + compute output {} usec)\n",
                    input, infer, output);
    if (model.cache) {
      const uint64_t count = own.compute_input.count + own.cache_hit.count;
      const uint64_t combined = count == 0
                                    ? 0
                                    : (own.cache_hit.ns + own.cache_miss.ns + own.compute_input.ns +
                                       own.compute_infer.ns + own.compute_output.ns) /
                                          (count * 1000);
      out += fmt::format(" (overhead {} usec + queue {} usec + cache hit/miss {} usec)\n",
                         less(mean, queue + combined), queue, combined);
      out += fmt::format("{0}{0}  Average Cache Hit Latency: {1} usec\n", indent,
                         own.cache_hit.mean_us());
      out += fmt::format(
          "{0}{0}  Average Cache Miss Latency: {1} usec (cache lookup/insertion {2} usec + {3}",
          indent, own.cache_miss.mean_us() + compute, own.cache_miss.mean_us(), stages);
    } else {
      out += fmt::format(" (overhead {} usec + queue {} usec + {}", less(mean, queue + compute),
                         queue, stages);
    }
    return out + "\n";
  }
  const ComposedTimes times = composed_times(stats);
  if (model.cache) {
    if (!model.own_cache)
      out += fmt::format(" (overhead {} usec + queue {} usec + cache hit/miss {} usec)",
                         less(mean, times.queue_us + times.combined_us), times.queue_us,
                         times.combined_us);
    out += fmt::format(
        "\n{0}{0}  Average Cache Hit Latency: {1} usec\n"
        "{0}{0}  Average Cache Miss Latency: {2} usec \n\n",
        indent, times.cache_hit_us, times.cache_miss_us + times.compute_us);
  } else {
    out += fmt::format(" (overhead {} usec + queue {} usec + compute {} usec)\n\n",
                       less(mean, times.queue_us + times.compute_us), times.queue_us,
                       times.compute_us);
  }
  out += indent + "Composing models: \n";
  for (const auto& [key, child] : stats.children)
    out += fmt::format("{}{}, version: {}\n{}", indent, key.first, key.second,
                       server_text(model, child, depth + 1));
  return out;
}

std::string gpu_text(const GpuMetrics& metrics) {
  std::string out = "  Server Prometheus Metrics: \n";
  const auto block = [&](const char* title, const char* unit, auto&& value) {
    out += fmt::format("    {}:\n", title);
    for (const auto& [uuid, gpu] : metrics.gpus)
      out += fmt::format("      {} : {:g}{}\n", uuid, value(gpu), unit);
  };
  block("Avg GPU Utilization", "%", [](const GpuFigures& gpu) {
    return gpu.utilization_count == 0 ? 0 : gpu.utilization_sum / gpu.utilization_count * 100;
  });
  block("Avg GPU Power Usage", " watts", [](const GpuFigures& gpu) {
    return gpu.power_count == 0 ? 0 : gpu.power_sum / gpu.power_count;
  });
  out += "    Max GPU Memory Usage:\n";
  for (const auto& [uuid, gpu] : metrics.gpus)
    out += fmt::format("      {} : {:.0f} bytes\n", uuid, gpu.memory_used_max);
  out += "    Total GPU Memory:\n";
  for (const auto& [uuid, gpu] : metrics.gpus)
    out += fmt::format("      {} : {:.0f} bytes\n", uuid, gpu.memory_total);
  return out;
}

// Sends that were later than they should have been, of an open loop.
double delayed_share(const Tally& tally) {
  if (tally.sent == 0) return 0;
  const auto over = [](const Histogram& histogram) {
    return static_cast<double>(histogram.count()) * (1 - histogram.share_within(kDelayedMs));
  };
  return std::min(1.0, (over(tally.late) + over(tally.waited)) / static_cast<double>(tally.sent));
}

}  // namespace

HttpMeans http_means(const Tally& tally) {
  HttpMeans out;
  out.total = us(send_latency(tally).mean_ms());
  out.send = std::min(out.total, us(tally.http.sending.mean_ms()));
  out.receive = std::min(out.total - out.send, us(tally.http.receiving.mean_ms()));
  out.wait = out.total - out.send - out.receive;
  return out;
}

std::vector<int64_t> shown_percentiles(const PerfSettings& settings) {
  std::set<int64_t> all{50, 90, 95, 99};
  if (settings.percentile > 0) all.insert(settings.percentile);
  return {all.begin(), all.end()};
}

std::string settings_text(const PerfSettings& settings) {
  std::string out = "*** Measurement Settings ***\n";
  const auto count_line = [&](int64_t count, const char* what) {
    out += fmt::format("  Sending {} {} request{}\n", count, what, count > 1 ? "s" : "");
  };
  const bool triton = settings.kind == ServiceKind::kTriton;
  if (triton || settings.batch_given) out += fmt::format("  Batch size: {}\n", settings.batch);
  out += fmt::format("  Service Kind: {}\n", triton ? "TRITON" : "OPENAI");
  if (settings.warmup_requests > 0) count_line(settings.warmup_requests, "warmup");
  if (settings.request_count > 0) {
    count_line(settings.request_count, "benchmark");
  } else {
    out += fmt::format("  Using \"{}\" mode for stabilization\n",
                       settings.count_windows ? "count_windows" : "time_windows");
    const char* metric = settings.async ? "throughput" : "latency and throughput";
    out += settings.percentile < 0
               ? fmt::format("  Stabilizing using average {}\n", metric)
               : fmt::format("  Stabilizing using p{} {}\n", settings.percentile, metric);
    out += settings.count_windows
               ? fmt::format("  Minimum number of samples in each window: {}\n",
                             settings.window_requests)
               : fmt::format("  Measurement window: {} msec\n", settings.interval_ms);
  }
  if (settings.mode == LoadMode::kConcurrency && settings.concurrency.end != 1) {
    out += fmt::format("  Latency limit: {} msec\n", settings.latency_limit_ms);
    if (settings.concurrency.end != 0)
      out += fmt::format("  Concurrency limit: {} concurrent requests\n",
                         std::max(settings.concurrency.start, settings.concurrency.end));
  }
  if (settings.mode == LoadMode::kRequestRate && settings.rate.end != 1) {
    out += fmt::format("  Latency limit: {} msec\n", settings.latency_limit_ms);
    if (settings.rate.end != 0)
      out += fmt::format("  Request Rate limit: {:g} requests per seconds\n",
                         std::max(settings.rate.start, settings.rate.end));
  }
  if (settings.mode == LoadMode::kRequestRate)
    out += fmt::format("  Using {} distribution on request generation\n",
                       settings.poisson ? "poisson" : "uniform");
  if (settings.binary_search) out += "  Using Binary Search algorithm\n";
  out += fmt::format("  Using {} calls for inference\n",
                     settings.async ? "asynchronous" : "synchronous");
  return out + "\n";
}

std::string level_title(const PerfSettings& settings, double value) {
  if (settings.mode == LoadMode::kConcurrency)
    return fmt::format("Request concurrency: {:.0f}\n", value);
  return fmt::format("Request Rate: {:g} inference requests per seconds\n", value);
}

std::string level_text(const PerfSettings& settings, const PerfModel* model,
                       const PerfLevel& level) {
  const Tally& tally = level.measured.tally;
  const Histogram& latency = send_latency(tally);
  std::string out = fmt::format("  Client: \n    Request count: {}\n", tally.ok);
  if (tally.failed > 0) out += fmt::format("    Failed request count: {}\n", tally.failed);
  if (const double delayed = delayed_share(tally);
      settings.mode != LoadMode::kConcurrency && delayed > kDelayedShare)
    out += fmt::format(
        "    Avg send request rate: {:.2f} infer/sec\n"
        "    [WARNING] The desired request rate was not kept: {:.2f}% of the requests were "
        "delayed. \n",
        static_cast<double>(tally.sent) / std::max(level.measured.length_s, 1e-9), delayed * 100);
  out += fmt::format("    Throughput: {:g} infer/sec\n", level.per_s);
  if (settings.verbosity > 0) {
    const double wall_s = level.run.tally.wall_s() * std::max(1, level.run.threads);
    out += fmt::format("    Avg client overhead: {:.2f}%\n",
                       wall_s > 0 ? std::min(100.0, level.run.tally.cpu_s / wall_s * 100) : 0);
  }
  if (settings.percentile < 0)
    out += fmt::format("    Avg latency: {} usec (standard deviation {} usec)\n",
                       us(latency.mean_ms()), us(latency.stdev_ms()));
  for (const int64_t percentile : shown_percentiles(settings))
    out += fmt::format("    p{} latency: {} usec\n", percentile,
                       us(indexed_percentile_ms(latency, percentile)));
  const HttpMeans http = http_means(tally);
  out +=
      settings.verbosity > 0
          ? fmt::format(
                "    Avg HTTP time: {} usec (send {} usec + response wait {} usec + receive {} "
                "usec)\n",
                http.total, http.send, http.wait, http.receive)
          : fmt::format("    Avg HTTP time: {} usec (send/recv {} usec + response wait {} usec)\n",
                        http.total, http.send + http.receive, http.wait);
  if (model != nullptr && model->statistics)
    out += "  Server: \n" + server_text(*model, level.measured.server, 1);
  if (settings.collect_metrics) out += gpu_text(level.measured.gpu);
  if (level.saturated)
    out +=
        "[WARNING] The generator was not able to keep up with the desired load. The results may "
        "not be accurate.\n";
  return out;
}

std::string closing_text(const PerfSettings& settings, std::span<const PerfLevel> levels) {
  if (levels.empty()) return {};
  std::string out =
      settings.percentile < 0
          ? std::string("Inferences/Second vs. Client Average Batch Latency\n")
          : fmt::format("Inferences/Second vs. Client p{} Batch Latency\n", settings.percentile);
  for (const PerfLevel& level : levels)
    out += fmt::format("{}: {:g}, throughput: {:g} infer/sec, latency {} usec\n",
                       settings.mode == LoadMode::kConcurrency ? "Concurrency" : "Request Rate",
                       level.value, level.per_s, us(level.latency_ms));
  return out;
}

}  // namespace sis::perf
