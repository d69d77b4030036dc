#include "perf/gate/gate_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

std::string value_text(const GateMetric& metric, double value) {
  if (metric.is_share) return fmt::format("{:.2f} %", value * 100);
  return concat(short_number(value), metric.unit[0] == '/' ? "" : " ", metric.unit);
}

// Shares change by percentage points.
std::string change_text(const GateMetric& metric, double change) {
  return fmt::format("{:+.{}f} {}", change * 100, metric.is_share ? 2 : 1,
                     metric.is_share ? "pp" : "%");
}

std::string interval_text(const MetricComparison& comparison) {
  const GateMetric& metric = *comparison.metric;
  return fmt::format("{} .. {}", change_text(metric, comparison.interval.low),
                     change_text(metric, comparison.interval.high));
}

// The side the change points to.
double p_of(const MetricComparison& comparison) {
  return std::min(comparison.p_worse, comparison.p_better);
}

std::string p_text(double p) {
  if (p < 0.0001) return "<0.0001";
  return fmt::format("{:.{}f}", p, p < 0.01 ? 4 : 2);
}

std::string verdict_text(const MetricComparison& comparison) {
  std::string out = gate_verdict_name(comparison.verdict);
  if (comparison.runs_needed > 0)
    out += fmt::format(", about {} runs a side needed", comparison.runs_needed);
  if (!comparison.note.empty()) out += concat(" (", comparison.note, ")");
  return out;
}

std::string runs_text(const GroupComparison& group) {
  const auto side = [](size_t usable, size_t failed) {
    return failed == 0 ? fmt::format("{}", usable)
                       : fmt::format("{} (+ {} failed)", usable, failed);
  };
  return fmt::format("{} baseline and {} candidate runs{}",
                     side(group.baseline_runs, group.baseline_failed),
                     side(group.candidate_runs, group.candidate_failed),
                     group.from_windows ? ", compared by time windows" : "");
}

std::string limits_text(const GateOptions& options) {
  return fmt::format(
      "A change counts from {:g} % on (error rate: {:g} percentage points); false alarms over all "
      "metrics at most {:g} %; intervals {:g} %.",
      options.min_effect * 100, options.min_error_share * 100, options.alpha * 100,
      options.confidence * 100);
}

// Pipes and line breaks would end a cell.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|')
      out += "\\|";
    else if (c == '\n' || c == '\r')
      out += ' ';
    else if (c == '<')
      out += "&lt;";
    else
      out += c;
  }
  return out;
}

const char* mark(GateVerdict verdict) {
  switch (verdict) {
    case GateVerdict::kSame:
      return "✅";
    case GateVerdict::kImproved:
      return "🚀";
    case GateVerdict::kTooNoisy:
      return "❔";
    case GateVerdict::kRegressed:
      return "❌";
  }
  return "";
}

}  // namespace

std::string gate_verdict_text(const GateReport& report) {
  std::string which;
  for (const GroupComparison& group : report.groups) {
    if (group.broken)
      which += fmt::format("{}{}: {} of {} candidate runs failed", which.empty() ? "" : "; ",
                           group.group, group.candidate_failed,
                           group.candidate_failed + group.candidate_runs);
    for (const MetricComparison& metric : group.metrics)
      if (metric.verdict == report.verdict && report.verdict != GateVerdict::kSame)
        which += fmt::format("{}{} of {} {}", which.empty() ? "" : "; ", metric.metric->shown,
                             group.group, change_text(*metric.metric, metric.change));
  }
  return concat(gate_verdict_name(report.verdict), which.empty() ? "" : ": ", which);
}

std::string gate_text(const GateReport& report) {
  std::string out;
  for (const GroupComparison& group : report.groups) {
    out += fmt::format("{}: {}\n", group.group, runs_text(group));
    out += fmt::format("  {:<14} {:>12} {:>12} {:>10}  {:<22} {:>8}  {}\n", "metric", "baseline",
                       "candidate", "change", "interval", "p", "verdict");
    for (const MetricComparison& metric : group.metrics)
      out += fmt::format("  {:<14} {:>12} {:>12} {:>10}  {:<22} {:>8}  {}\n", metric.metric->shown,
                         value_text(*metric.metric, metric.baseline),
                         value_text(*metric.metric, metric.candidate),
                         change_text(*metric.metric, metric.change), interval_text(metric),
                         p_text(p_of(metric)), verdict_text(metric));
  }
  for (const std::string& warning : report.warnings) out += concat("warning: ", warning, "\n");
  out += concat(limits_text(report.options), "\n");
  return out + concat("verdict: ", gate_verdict_text(report), "\n");
}

std::string gate_markdown(const GateReport& report) {
  std::string out = fmt::format("### {} Performance: {}\n", mark(report.verdict),
                                cell(gate_verdict_text(report)));
  for (const GroupComparison& group : report.groups) {
    out += fmt::format("\n**{}**: {}\n\n", cell(group.group), runs_text(group));
    out += "| Metric | Baseline | Candidate | Change | Interval | p | Verdict |\n";
    out += "|---|---:|---:|---:|---|---:|---|\n";
    for (const MetricComparison& metric : group.metrics)
      out += fmt::format(
          "| {} | {} | {} | {} | {} | {} | {} {} |\n", metric.metric->shown,
          value_text(*metric.metric, metric.baseline), value_text(*metric.metric, metric.candidate),
          change_text(*metric.metric, metric.change), interval_text(metric),
          cell(p_text(p_of(metric))), mark(metric.verdict), cell(verdict_text(metric)));
  }
  if (!report.warnings.empty()) out += "\n";
  for (const std::string& warning : report.warnings)
    out += concat("- ⚠️ ", cell(warning), "\n");
  return out + concat("\n<sub>", limits_text(report.options), "</sub>\n");
}

Json gate_json(const GateReport& report) {
  Json out;
  out["tool"] = "sis gate";
  out["verdict"] = gate_verdict_name(report.verdict);
  out["verdict_text"] = gate_verdict_text(report);
  out["options"] = {{"min_effect", report.options.min_effect},
                    {"min_error_share", report.options.min_error_share},
                    {"alpha", report.options.alpha},
                    {"confidence", report.options.confidence},
                    {"draws", report.options.draws},
                    {"seed", report.options.seed}};
  out["warnings"] = report.warnings;
  out["groups"] = Json::array();
  for (const GroupComparison& group : report.groups) {
    Json entry;
    entry["group"] = group.group;
    entry["baseline_runs"] = group.baseline_runs;
    entry["candidate_runs"] = group.candidate_runs;
    entry["baseline_failed"] = group.baseline_failed;
    entry["candidate_failed"] = group.candidate_failed;
    entry["from_windows"] = group.from_windows;
    entry["broken"] = group.broken;
    entry["metrics"] = Json::array();
    for (const MetricComparison& metric : group.metrics) {
      Json row;
      row["metric"] = metric.metric->name;
      row["unit"] = metric.metric->is_share ? "share" : metric.metric->unit;
      row["better"] = metric.metric->better == Better::kLower ? "lower" : "higher";
      row["baseline_values"] = metric.baseline_values;
      row["candidate_values"] = metric.candidate_values;
      row["baseline"] = metric.baseline;
      row["candidate"] = metric.candidate;
      row["change"] = metric.change;
      row["interval"] = {metric.interval.low, metric.interval.high};
      row["p_worse"] = metric.p_worse;
      row["p_better"] = metric.p_better;
      row["verdict"] = gate_verdict_name(metric.verdict);
      row["runs_needed"] = metric.runs_needed > 0 ? Json(metric.runs_needed) : Json(nullptr);
      if (!metric.note.empty()) row["note"] = metric.note;
      entry["metrics"].push_back(std::move(row));
    }
    out["groups"].push_back(std::move(entry));
  }
  return out;
}

}  // namespace sis::perf
