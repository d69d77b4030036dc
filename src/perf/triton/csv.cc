#include "perf/triton/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "base/strings.h"
#include "perf/triton/report.h"

namespace sis::perf {
namespace {

// Whole nanoseconds first: 0.05 ms are 50 us, whatever the double says.
int64_t us(double ms) { return std::llround(ms * 1e6) / 1000; }

std::string stage_cells(const PerfModel& model, const ModelStats& stats, uint64_t around_us) {
  std::string out =
      fmt::format("{},{},{},{},{}", around_us, stats.queue.mean_us(), stats.compute_input.mean_us(),
                  stats.compute_infer.mean_us(), stats.compute_output.mean_us());
  if (model.cache)
    out += fmt::format(",{},{}", stats.cache_hit.mean_us(), stats.cache_miss.mean_us());
  return out;
}

uint64_t accounted_us(const ModelStats& stats) {
  return stats.queue.mean_us() + compute_mean_us(stats) + stats.cache_hit.mean_us() +
         stats.cache_miss.mean_us();
}

std::string stage_titles(const PerfModel& model) {
  return concat(
      "Network+Server Send/Recv,Server Queue,Server Compute Input,Server Compute Infer,"
      "Server Compute Output",
      model.cache ? ",Server Cache Hit,Server Cache Miss" : "");
}

std::string gpu_cells(const GpuMetrics& metrics) {
  std::string utilization, power, used, total;
  for (const auto& [uuid, gpu] : metrics.gpus) {
    utilization +=
        fmt::format("{}:{:g};", uuid,
                    gpu.utilization_count == 0 ? 0 : gpu.utilization_sum / gpu.utilization_count);
    power +=
        fmt::format("{}:{:g};", uuid, gpu.power_count == 0 ? 0 : gpu.power_sum / gpu.power_count);
    used += fmt::format("{}:{:.0f};", uuid, gpu.memory_used_max);
    total += fmt::format("{}:{:.0f};", uuid, gpu.memory_total);
  }
  return concat(",", utilization, ",", power, ",", used, ",", total);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> csv_files(const PerfSettings& settings,
                                                           const PerfModel* model,
                                                           std::span<const PerfLevel> levels) {
  std::vector<std::pair<std::string, std::string>> files;
  if (settings.csv_file.empty() || levels.empty()) return files;
  std::vector<const PerfLevel*> sorted;
  for (const PerfLevel& level : levels) sorted.push_back(&level);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const PerfLevel* a, const PerfLevel* b) { return a->per_s < b->per_s; });
  const bool with_server = model != nullptr && model->statistics;
  const bool with_gpu = settings.collect_metrics && settings.verbose_csv;
  const char* level_title =
      settings.mode == LoadMode::kConcurrency ? "Concurrency" : "Request Rate";

  std::string text = concat(level_title, ",Inferences/Second,Client Send,");
  if (with_server) text += stage_titles(*model) + ",";
  text += "Client Recv";
  for (const int64_t percentile : shown_percentiles(settings))
    text += fmt::format(",p{} latency", percentile);
  if (settings.verbose_csv) {
    if (settings.percentile < 0) text += ",Avg latency";
    text += ",request/response,response wait";
    if (with_gpu)
      text += ",Avg GPU Utilization,Avg GPU Power Usage,Max GPU Memory Usage,Total GPU Memory";
  }
  text += "\n";
  for (const PerfLevel* level : sorted) {
    const Tally& tally = level->measured.tally;
    const Histogram& latency = send_latency(tally);
    const HttpMeans http = http_means(tally);
    text += fmt::format("{:g},{:g},{},", level->value, level->per_s, http.send);
    if (with_server) {
      const ModelStats& own = level->measured.server.own;
      const auto waited = static_cast<uint64_t>(
          std::max<int64_t>(0, us(latency.mean_ms()) - http.send - http.receive));
      const uint64_t accounted = accounted_us(own);
      text += stage_cells(*model, own, waited > accounted ? waited - accounted : 0) + ",";
    }
    text += std::to_string(http.receive);
    for (const int64_t percentile : shown_percentiles(settings))
      text += fmt::format(",{}", us(indexed_percentile_ms(latency, percentile)));
    if (settings.verbose_csv) {
      if (settings.percentile < 0) text += fmt::format(",{}", us(latency.mean_ms()));
      text += fmt::format(",{},{}", http.send + http.receive, http.wait);
      if (with_gpu) text += gpu_cells(level->measured.gpu);
    }
    text += "\n";
  }
  files.emplace_back(settings.csv_file, std::move(text));
  if (!with_server) return files;

  // Files of composing models stand beside the report.
  const size_t slash = settings.csv_file.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "" : settings.csv_file.substr(0, slash + 1);
  const std::string name = settings.csv_file.substr(folder.size());
  for (const auto& [key, unused] : sorted.front()->measured.server.children) {
    // A server's words become a file's name: nothing in them may lead out of the folder.
    std::string file = concat(key.first, "_v", key.second, ".", name);
    std::replace(file.begin(), file.end(), '/', '_');
    std::string child_text = concat(level_title, ",Inferences/Second,Client Send,",
                                    stage_titles(*model), ",Client Recv\n");
    for (const PerfLevel* level : sorted) {
      const auto& children = level->measured.server.children;
      const auto found = children.find(key);
      const ModelStats stats = found == children.end() ? ModelStats{} : found->second.own;
      const uint64_t parent = level->measured.server.own.success.count;
      const double ratio =
          parent == 0 ? 0 : static_cast<double>(stats.success.count) / static_cast<double>(parent);
      const uint64_t mean = stats.success.mean_us(), accounted = accounted_us(stats);
      child_text +=
          fmt::format("{:g},{:g},0,{},0\n", level->value, ratio * level->per_s,
                      stage_cells(*model, stats, mean > accounted ? mean - accounted : 0));
    }
    files.emplace_back(folder + file, std::move(child_text));
  }
  return files;
}

Status write_text_file(const std::string& path, std::string_view text) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file != nullptr) written = std::fclose(file) == 0 && written;
  if (!written)
    return Error{Code::kInternal,
                 concat("cannot write ", in_quotes(path), ": ", std::strerror(errno))};
  return {};
}

}  // namespace sis::perf
