#include "perf/plan/screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace sis::perf {
namespace {

constexpr int kNameWidth = 30;  // with its dots

std::string minutes_text(double seconds) {
  const auto minutes = static_cast<int64_t>(seconds / 60);
  return fmt::format("{}m{:04.1f}s", minutes, seconds - static_cast<double>(minutes) * 60);
}

std::string bytes_text(double bytes) {
  for (const char* unit : {"B", "kB", "MB"}) {
    if (bytes < 1000) return fmt::format("{:.{}f} {}", bytes, unit[0] == 'B' ? 0 : 1, unit);
    bytes /= 1000;
  }
  return fmt::format("{:.1f} GB", bytes);
}

std::string line(std::string_view name, const std::string& value) {
  std::string dotted(name);
  while (dotted.size() < kNameWidth) dotted += '.';
  return fmt::format("    {}: {}\n", dotted, value);
}

std::string trend_line(std::string_view name, const Histogram& histogram) {
  if (histogram.empty()) return {};
  const auto at = [&](double q) { return k6_time_text(histogram.quantile_ms(q)); };
  return line(name,
              fmt::format("avg={:<8} min={:<8} med={:<8} max={:<8} p(90)={:<8} p(95)={:<8} "
                          "p(99)={}",
                          k6_time_text(histogram.mean_ms()), k6_time_text(histogram.min_ms()),
                          at(0.5), k6_time_text(histogram.max_ms()), at(0.9), at(0.95), at(0.99)));
}

}  // namespace

std::string k6_time_text(double ms) {
  if (ms <= 0) return "0s";
  if (ms < 1) return fmt::format("{:.4g}µs", ms * 1e3);
  if (ms < 1000) return fmt::format("{:.4g}ms", ms);
  if (ms < 60000) return fmt::format("{:.4g}s", ms / 1e3);
  const auto minutes = static_cast<int64_t>(ms / 60000);
  return fmt::format("{}m{:.3g}s", minutes, ms / 1e3 - static_cast<double>(minutes) * 60);
}

std::string plan_progress_line(const PlanProgress& progress) {
  const int digits = progress.users_max < 100 ? 2 : 3;
  return fmt::format("running ({}/{}), {:0{}}/{:0{}} VUs, {} requests, {} failed",
                     minutes_text(progress.elapsed_s), minutes_text(progress.length_s),
                     progress.users, digits, progress.users_max, digits,
                     with_commas(progress.requests), with_commas(progress.failures));
}

std::string plan_totals_text(const PlanResult& result) {
  Tally total;
  double from_s = 0, until_s = 0;
  int users = 0;
  bool any = false;
  for (const auto& one : result.figures) {
    if (one.scenario->warmup || one.until_s <= one.from_s) continue;
    total.merge(one.total);
    from_s = any ? std::min(from_s, one.from_s) : one.from_s;
    until_s = std::max(until_s, one.until_s);
    users += one.scenario->users;
    any = true;
  }
  const double seconds = until_s - from_s;
  const auto rate = [&](uint64_t count) {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
  };
  std::string out;
  if (!result.limits.empty()) {
    out += "  █ THRESHOLDS\n\n";
    std::string text = thresholds_text(result.limits);
    // Without its own head line.
    out += concat(text.substr(text.find('\n') + 1), "\n");
  }
  out += "  █ TOTAL RESULTS";
  if (std::any_of(result.figures.begin(), result.figures.end(),
                  [](const auto& one) { return one.scenario->warmup; }))
    out += " (without warm-up)";
  out += "\n\n";
  if (!any) return out + "    nothing was measured\n";
  const uint64_t requests = total.ok + total.failed;
  if (total.generation.answers > 0) {
    out += "    GENERATION\n";
    out += trend_line("ttft", total.generation.ttft);
    out += trend_line("itl", total.generation.itl);
    out += trend_line("tpot", total.generation.tpot);
    out += line("output_tokens", fmt::format("{} {:.2f}/s", total.generation.output_tokens,
                                             rate(total.generation.output_tokens)));
    out += "\n";
  }
  out += "    HTTP\n";
  out += trend_line("http_req_duration", total.latency);
  out += trend_line("http_req_waiting", total.http.waiting);
  out +=
      line("http_req_failed", fmt::format("{:.2f}% {} out of {}",
                                          requests > 0 ? 100.0 * static_cast<double>(total.failed) /
                                                             static_cast<double>(requests)
                                                       : 0.0,
                                          total.failed, requests));
  out += line("http_reqs", fmt::format("{} {:.2f}/s", requests, rate(requests)));
  out += "\n    EXECUTION\n";
  if (total.unsent > 0)
    out += line("dropped_iterations", fmt::format("{} {:.2f}/s", total.unsent, rate(total.unsent)));
  out += line("iterations", fmt::format("{} {:.2f}/s", requests, rate(requests)));
  out += line("vus_max", fmt::format("{}", users));
  out += "\n    NETWORK\n";
  out += line("data_received", concat(bytes_text(static_cast<double>(total.bytes_in)), " ",
                                      bytes_text(rate(total.bytes_in)), "/s"));
  out += line("data_sent", concat(bytes_text(static_cast<double>(total.bytes_out)), " ",
                                  bytes_text(rate(total.bytes_out)), "/s"));
  return out;
}

}  // namespace sis::perf
