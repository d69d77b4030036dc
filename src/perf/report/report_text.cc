#include "perf/report/report_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "perf/report/conclusion.h"
#include "perf/report/run_words.h"
#include "perf/report/server_times.h"
#include "perf/report/summary.h"
#include "perf/report/terminal.h"

namespace sis::perf {
namespace {

using Row = std::vector<std::string>;

// Columns as wide as their widest cell; the first is set left, the others right.
std::string columns(const std::vector<Row>& rows) {
  std::vector<int> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i]));
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line = " ";
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string gap(static_cast<size_t>(widths[i] - columns_of(row[i])), ' ');
      line += concat(i == 0 ? " " : "  ", i == 0 ? row[i] + gap : gap + row[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string ms_cell(std::optional<double> ms) { return ms ? short_number(*ms) : "-"; }

std::string times_table(const RunData& run) {
  std::vector<Row> rows = {{"ms", "mean", "min", "p50", "p90", "p95", "p99", "p99.9", "max"}};
  const auto add = [&](const char* name, const HistogramData& times) {
    if (times.empty()) return;
    Row row = {name, short_number(times.mean_ms), short_number(times.min_ms)};
    for (const double q : {0.5, 0.9, 0.95, 0.99, 0.999})
      row.push_back(ms_cell(times.quantile_ms(q)));
    row.push_back(short_number(times.max_ms));
    rows.push_back(std::move(row));
  };
  add("latency", run.latency);
  add("all due, at least", run.latency_all_due);
  add("service", run.service);
  add("ttft", run.ttft);
  add("itl", run.itl);
  add("tpot", run.tpot);
  add("connecting", run.http.connecting);
  add("tls", run.http.tls_handshaking);
  add("sending", run.http.sending);
  add("waiting", run.http.waiting);
  add("receiving", run.http.receiving);
  add("failed", run.failed);
  return rows.size() > 1 ? columns(rows) : std::string();
}

std::string parts_table(const RunData& run) {
  if (run.parts.empty()) return {};
  std::vector<Row> rows = {
      {"part", "requests", "per second", "mean ms", "p50", "p95", "p99", "failed"}};
  for (const PartData& part : run.parts) {
    Row row = {printable(part.name), with_commas(part.requests), short_number(part.requests_per_s),
               part.latency.empty() ? "-" : short_number(part.latency.mean_ms)};
    for (const double q : {0.5, 0.95, 0.99}) row.push_back(ms_cell(part.latency.quantile_ms(q)));
    row.push_back(with_commas(part.failures));
    rows.push_back(std::move(row));
  }
  return columns(rows);
}

std::string thresholds(const RunData& run) {
  std::string out;
  for (const ThresholdData& threshold : run.thresholds)
    out += fmt::format("  {} {} {}: {}\n", threshold.ok ? "✓" : "✗", printable(threshold.metric),
                       printable(threshold.threshold),
                       threshold.value ? short_number(*threshold.value) : "no samples");
  return out;
}

std::string server(const RunData& run) {
  std::string out;
  for (const auto& [name, ms] : server_share(run))
    out += fmt::format("{}{} {} ms", out.empty() ? "  server: " : ", ", name, short_number(ms));
  return out.empty() ? out : out + "\n";
}

}  // namespace

std::string sweep_text(const Report& report) {
  if (!report.is_sweep()) return {};
  const bool rates = report.runs.front().level_rate.has_value();
  const bool generated = std::any_of(report.runs.begin(), report.runs.end(),
                                     [](const RunData& run) { return !run.ttft.empty(); });
  std::vector<Row> rows = {
      {rates ? "wanted/s" : "concurrency", "requests/s", "p50 ms", "p90", "p95", "p99", "failed"}};
  if (generated) rows[0].insert(rows[0].end(), {"ttft p50", "ttft p99"});
  rows[0].emplace_back("verdict");
  for (const size_t i : runs_by_level(report)) {
    const RunData& run = report.runs[i];
    Row row = {count_text(run.level().value_or(0)), short_number(run.requests_per_s)};
    for (const double q : {0.5, 0.9, 0.95, 0.99})
      row.push_back(ms_cell(run.latency_to_judge().quantile_ms(q)));
    row.push_back(percent_text(run.failed_share()));
    if (generated)
      for (const double q : {0.5, 0.99}) row.push_back(ms_cell(run.ttft.quantile_ms(q)));
    row.push_back(printable(run.verdict) + (run.stable && !*run.stable ? ", not stable" : ""));
    rows.push_back(std::move(row));
  }
  std::string out = "\nlevels:\n" + columns(rows);
  for (const std::string& sentence : sweep_conclusions(report)) out += concat("  ", sentence, "\n");
  return out;
}

std::string report_text(const Report& report) {
  std::string out;
  for (const size_t i : runs_by_level(report)) {
    const RunData& run = report.runs[i];
    out += concat(out.empty() ? "" : "\n", printable(run.title()), " at ", printable(run.url),
                  report.started.empty() ? "" : concat(", ", printable(report.started)), "\n");
    if (run.measured)
      out += fmt::format("  {} requests in {} s: {} requests/s, {} failed\n",
                         with_commas(run.requests), short_number(run.wall_s),
                         short_number(run.requests_per_s), with_commas(run.failures));
    out += times_table(run) + parts_table(run) + thresholds(run) + server(run);
    for (const auto& [message, count] : run.error_counts)
      out += concat("  ", with_commas(count), " x ", printable(message), "\n");
    out +=
        concat("  verdict: ", printable(run.verdict),
               run.verdict_reason.empty() ? "" : concat(": ", printable(run.verdict_reason)), "\n");
    for (const std::string& sentence : run_conclusions(run))
      if (run.verdict_reason.empty() || sentence.find(run.verdict_reason) == std::string::npos)
        out += concat("  - ", printable(sentence), "\n");
  }
  if (report.runs.empty()) out += "no runs\n";
  return out + sweep_text(report);
}

}  // namespace sis::perf
