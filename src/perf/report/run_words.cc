#include "perf/report/run_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/strings.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

std::string seconds_text(double seconds) { return concat(count_text(seconds), " seconds"); }

std::string users_text(const RunData& run) {
  double low = static_cast<double>(run.connections), high = low;
  bool seen = false;
  for (const WindowData& window : run.windows) {
    if (!window.users) continue;
    low = seen ? std::min(low, *window.users) : *window.users;
    high = seen ? std::max(high, *window.users) : *window.users;
    seen = true;
  }
  if (seen && low != high) return fmt::format("{} to {}", count_text(low), count_text(high));
  return with_commas(static_cast<uint64_t>(std::max(0.0, high)));
}

}  // namespace

Words configuration_words(const RunData& run) {
  Words out;
  if (!run.model.empty()) out.emplace_back("Model", run.model);
  out.emplace_back("Host", run.url);
  if (!run.peer.empty()) out.emplace_back("Address", run.peer);
  if (!run.measured) return out;
  if (run.open_loop()) {
    out.emplace_back("Load",
                     run.rate && *run.rate > 0
                         ? fmt::format("open loop, {} requests/s{}{}", count_text(*run.rate),
                                       run.arrivals.empty() ? "" : ", ", run.arrivals)
                         : concat("open loop", run.arrivals.empty() ? "" : ", ", run.arrivals));
    out.emplace_back("Connections", concat("up to ", with_commas(run.connections)));
  } else {
    out.emplace_back("Users", users_text(run));
  }
  if (run.duration_wanted_s > 0) out.emplace_back("Duration", seconds_text(run.duration_wanted_s));
  if (run.requests_wanted > 0) out.emplace_back("Requests", with_commas(run.requests_wanted));
  if (run.warmup_s > 0) out.emplace_back("Warm-up", seconds_text(run.warmup_s));
  if (run.warmup_requests > 0)
    out.emplace_back("Warm-up", concat(with_commas(run.warmup_requests), " requests"));
  if (!run.load.empty()) out.emplace_back("Request", run.load);
  if (run.timeout_s > 0) out.emplace_back("Timeout", seconds_text(run.timeout_s));
  if (run.slo_ttft_ms)
    out.emplace_back("Limit, first token", concat(count_text(*run.slo_ttft_ms), " ms"));
  if (run.slo_itl_ms)
    out.emplace_back("Limit, 99 % of gaps", concat(count_text(*run.slo_itl_ms), " ms"));
  if (!run.keep_alive) out.emplace_back("Connections", "a new one for each request");
  if (run.pipeline > 1) out.emplace_back("Pipelined", concat(run.pipeline, " on each connection"));
  out.emplace_back("Generator threads", with_commas(run.threads));
  out.emplace_back("Seed", std::to_string(run.seed));
  if (!run.stop_rule.empty())
    out.emplace_back("Stop rule", concat(run.stop_rule, run.stop_met ? ": met" : ": not met",
                                         run.stop_detail.empty() ? "" : ", ", run.stop_detail));
  return out;
}

Words machine_words(const Report& report) {
  Words out;
  if (!report.cpu.empty()) out.emplace_back("CPU", report.cpu);
  if (report.cores > 0) out.emplace_back("Cores", with_commas(report.cores));
  if (report.memory_gb > 0)
    out.emplace_back("Memory", concat(short_number(report.memory_gb), " GB"));
  if (!report.kernel.empty()) out.emplace_back("Kernel", report.kernel);
  return out;
}

std::string method_of(const RunData& run) {
  const std::string word = run.load.substr(0, run.load.find(' '));
  const bool upper = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return std::isupper(c) != 0;
  });
  return upper && run.what == "http" ? word : "POST";
}

std::string count_text(double value) {
  if (value >= 0 && value < 1e15 && value == std::floor(value))
    return with_commas(static_cast<uint64_t>(value));
  return short_number(value);
}

std::string percent_text(double share) {
  if (share == 0) return "0 %";
  return concat(short_number(share * 100), " %");
}

}  // namespace sis::perf
