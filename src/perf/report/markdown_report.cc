#include "perf/report/markdown_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "perf/report/conclusion.h"
#include "perf/report/run_words.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

// "/predict" with a part named "/predict_batch x25" stays as it is.
std::string endpoint_of(const RunData& run) {
  if (run.what != "http" && !run.what.empty()) return run.what;
  const size_t host = run.url.find("://");
  const size_t path = host == std::string::npos ? host : run.url.find('/', host + 3);
  return path == std::string::npos ? run.url : run.url.substr(path);
}

std::string result_row(const std::string& name, const std::string& method, uint64_t count,
                       uint64_t failures, const HistogramData& latency) {
  std::string out = fmt::format("| {} | {} | {} |", markdown_escaped(name), method, count);
  const auto cell = [&](std::optional<double> ms) {
    out += fmt::format(" {} |", ms ? short_number(*ms) : "-");
  };
  const bool any = !latency.empty();
  cell(any ? std::optional(latency.mean_ms) : std::nullopt);
  cell(any ? std::optional(latency.min_ms) : std::nullopt);
  cell(any ? std::optional(latency.max_ms) : std::nullopt);
  for (const double q : {0.5, 0.95, 0.99}) cell(latency.quantile_ms(q));
  out += fmt::format(
      " {} |\n",
      percent_text(count > 0 ? static_cast<double>(failures) / static_cast<double>(count) : 0));
  return out;
}

std::string results(const RunData& run) {
  std::string out =
      "**Results**:\n"
      "| Endpoint | Method | Count | Mean (ms) | Min (ms) | Max (ms) | P50 (ms) | P95 (ms) | P99 "
      "(ms) | "
      "Fail % |\n"
      "|----------|--------|-------|-----------|----------|----------|----------|----------|-------"
      "---|"
      "--------|\n";
  for (const PartData& part : run.parts) {
    // A part may name its method: "POST /predict".
    const size_t space = part.name.find(' ');
    const std::string first = part.name.substr(0, space);
    const bool method =
        space != std::string::npos && (first == "GET" || first == "POST" || first == "PUT" ||
                                       first == "DELETE" || first == "HEAD" || first == "PATCH");
    out += result_row(method ? part.name.substr(space + 1) : part.name,
                      method ? first : (run.parts.empty() ? method_of(run) : "-"), part.requests,
                      part.failures, part.latency);
  }
  if (run.parts.empty())
    out += result_row(endpoint_of(run), method_of(run), run.requests, run.failures, run.latency);
  else
    out += result_row("all", "-", run.requests, run.failures, run.latency);
  return out;
}

std::string generation(const RunData& run) {
  if (run.ttft.empty() && run.itl.empty() && run.tpot.empty()) return {};
  std::string out =
      "\n**Generation**:\n| Measure (ms) | Mean | P50 | P90 | P99 | Max "
      "|\n|---|---|---|---|---|---|\n";
  const auto row = [&](const char* name, const HistogramData& times) {
    if (times.empty()) return;
    out += fmt::format("| {} | {} |", name, short_number(times.mean_ms));
    for (const double q : {0.5, 0.9, 0.99})
      out += fmt::format(" {} |", short_number(times.quantile_ms(q).value_or(0)));
    out += fmt::format(" {} |\n", short_number(times.max_ms));
  };
  row("Time to first token", run.ttft);
  row("Inter-token latency", run.itl);
  row("Time per output token", run.tpot);
  return out;
}

std::string thresholds(const RunData& run) {
  if (run.thresholds.empty()) return {};
  std::string out = "\n**Thresholds**:\n| Metric | Threshold | Value | Met |\n|---|---|---|---|\n";
  for (const ThresholdData& threshold : run.thresholds)
    out += fmt::format("| {} | {} | {} | {} |\n", markdown_escaped(threshold.metric),
                       markdown_escaped(threshold.threshold),
                       threshold.value ? short_number(*threshold.value) : "-",
                       threshold.ok ? "yes" : "**no**");
  return out;
}

std::string throughput(const RunData& run) {
  std::string out;
  for (const auto& [name, rate] : run.rates) {
    std::string words = name;
    std::replace(words.begin(), words.end(), '_', ' ');
    out += fmt::format("{}{} {}/s", out.empty() ? "" : ", ", short_number(rate),
                       markdown_escaped(words));
  }
  if (out.empty()) out = concat(short_number(run.requests_per_s), " good answers/s");
  if (!run.open_loop() && run.connections > 0)
    out += fmt::format(" ({} requests/s per user)",
                       short_number(run.requests_per_s / static_cast<double>(run.connections)));
  return out;
}

std::string sweep(const Report& report) {
  if (!report.is_sweep()) return {};
  const bool users = report.runs.front().level_concurrency.has_value();
  std::string out = fmt::format(
      "## Levels\n\n| {} | Requests/s | P50 (ms) | P95 (ms) | P99 (ms) | Fail % | Verdict |\n"
      "|---|---|---|---|---|---|---|\n",
      users ? "Concurrency" : "Wanted requests/s");
  for (const size_t i : runs_by_level(report)) {
    const RunData& run = report.runs[i];
    out += fmt::format("| {} | {} |", count_text(run.level().value_or(0)),
                       short_number(run.requests_per_s));
    for (const double q : {0.5, 0.95, 0.99})
      out += fmt::format(" {} |",
                         run.latency.empty()
                             ? "-"
                             : short_number(run.latency_to_judge().quantile_ms(q).value_or(0)));
    out += fmt::format(" {} | {}{} |\n", percent_text(run.failed_share()),
                       markdown_escaped(run.verdict),
                       run.stable && !*run.stable ? ", not stable" : "");
  }
  out += "\n";
  for (const std::string& sentence : sweep_conclusions(report))
    out += concat("- ", markdown_escaped(sentence), "\n");
  return out + "\n";
}

}  // namespace

std::string markdown_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == '\t') {
      out += ' ';
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += "\xef\xbf\xbd";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      if (std::string_view("\\`*_[]>|#~!").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string markdown_report(const Report& report) {
  std::string out = sweep(report);
  for (const size_t i : runs_by_level(report)) {
    const RunData& run = report.runs[i];
    out +=
        concat("## Load Test Run: ", markdown_escaped(report.started),
               report.runs.size() > 1 ? concat(", ", markdown_escaped(run.title())) : "", "\n\n");
    out += "**Configuration**:\n";
    for (const auto& [name, value] : configuration_words(run))
      out += concat("- ", name, ": ", markdown_escaped(value), "\n");
    for (const auto& [name, value] : machine_words(report))
      out += concat("- ", name, ": ", markdown_escaped(value), "\n");
    if (run.measured) {
      out += concat("\n", results(run), generation(run), thresholds(run));
      out += fmt::format("\n**Total RPS**: {} ({} good answers, {} s)\n",
                         short_number(run.requests_per_s), with_commas(run.successes),
                         short_number(run.wall_s));
      out += concat("\n**Throughput**: ", throughput(run), "\n");
    }
    out += "\n**Conclusion**:";
    for (const std::string& sentence : run_conclusions(run))
      out += concat(" ", markdown_escaped(sentence));
    out += "\n\n";
  }
  if (report.runs.empty()) out += "No runs.\n";
  return out;
}

}  // namespace sis::perf
