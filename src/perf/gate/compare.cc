#include "perf/gate/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "base/strings.h"

namespace sis::perf {
namespace {

constexpr size_t kWindowsLeast = 8;  // of each side, to compare single runs by
constexpr size_t kBlocksMost = 24;   // of each side, in the rank test
constexpr int kRunsMost = 1000;      // more is no advice

struct Side {
  std::vector<const RunSample*> usable;
  size_t failed = 0, saturated = 0;
  bool has_windows = true;
};

struct Group {
  std::string name;
  Side baseline, candidate;
};

Side side_of(const std::vector<RunSample>& samples, const std::string& group) {
  Side side;
  for (const RunSample& sample : samples) {
    if (sample.group != group) continue;
    if (sample.state == SampleState::kFailed) ++side.failed;
    if (sample.state != SampleState::kUsable) continue;
    side.saturated += sample.generator_saturated ? 1 : 0;
    side.has_windows &= sample.windows.size() >= kWindowsLeast;
    side.usable.push_back(&sample);
  }
  return side;
}

// Names of what differs, with both values: "connections 8 and 16".
std::string differences(const Conditions& a, const Conditions& b) {
  std::string out;
  for (const auto& [name, value] : a)
    for (const auto& [other_name, other] : b)
      if (name == other_name && value != other)
        out += fmt::format("{}{} {} and {}", out.empty() ? "" : ", ", name,
                           value.empty() ? "unknown" : value, other.empty() ? "unknown" : other);
  return out;
}

// Every run against the first: what must be the same, and what is only told.
Status check_conditions(const std::vector<RunSample>& baseline,
                        const std::vector<RunSample>& candidate, const GateOptions& options,
                        std::vector<std::string>& warnings) {
  std::map<std::string, const RunSample*> first;
  std::set<std::string> told;
  const auto tell = [&](std::string text) {
    if (told.insert(text).second) warnings.push_back(std::move(text));
  };
  for (const auto* side : {&baseline, &candidate}) {
    for (const RunSample& sample : *side) {
      if (sample.state != SampleState::kUsable) continue;  // a failed run does not tell them all
      const RunSample& other = *first.emplace(sample.group, &sample).first->second;
      const auto load = differences(other.conditions, sample.conditions);
      const auto machine = differences(other.machine, sample.machine);
      for (const auto& [what, differs] : {std::pair{"load", load}, std::pair{"machine", machine}}) {
        if (differs.empty()) continue;
        const std::string text = concat(sample.group, ": the ", what, " differs: ", differs, " (",
                                        other.origin, ", ", sample.origin, ")");
        if (!options.force)
          return Error{Code::kInvalidArgument,
                       concat(text, "; --force compares them all the same")};
        tell(text);
      }
      if (const auto remarks = differences(other.remarks, sample.remarks); !remarks.empty())
        tell(concat(sample.group, ": ", remarks, " differ"));
    }
  }
  return {};
}

// What a metric's values are on one side, and how many neighbours hang together.
struct Series {
  std::vector<double> values;  // for the statistic and its interval
  std::vector<double> blocks;  // for the rank test
  size_t block = 1;
};

std::vector<double> run_values(const Side& side, const std::string& metric) {
  std::vector<double> out;
  for (const RunSample* sample : side.usable)
    if (const auto found = sample->figures.find(metric); found != sample->figures.end())
      out.push_back(found->second);
  return out;
}

std::vector<double> window_values(const Side& side, const std::string& metric) {
  std::vector<double> out;
  for (const RunSample* sample : side.usable)
    for (const Figures& window : sample->windows)
      if (const auto found = window.find(metric); found != window.end())
        out.push_back(found->second);
  return out;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

// Blocks long enough that one tells little about the next.
void cut_into_blocks(Series& series, size_t block, bool is_share) {
  series.block = block;
  series.blocks.clear();
  for (size_t begin = 0; begin + block <= series.values.size(); begin += block) {
    const std::vector<double> part(series.values.begin() + static_cast<ptrdiff_t>(begin),
                                   series.values.begin() + static_cast<ptrdiff_t>(begin + block));
    series.blocks.push_back(is_share ? mean_of(part) : median(part));
  }
}

bool all_equal(const Series& a, const Series& b) {
  const double first = a.values.front();
  const auto same = [&](double value) { return value == first; };
  return std::all_of(a.values.begin(), a.values.end(), same) &&
         std::all_of(b.values.begin(), b.values.end(), same);
}

struct Work {
  MetricComparison* out = nullptr;
  Series baseline, candidate;
  bool from_windows = false;
  bool informative = true;  // otherwise all values are one and the same
};

std::vector<std::string> metrics_wanted(const GateOptions& options) {
  if (!options.metrics.empty()) return options.metrics;
  std::vector<std::string> out;
  for (const GateMetric& metric : gate_metrics()) out.emplace_back(metric.name);
  return out;
}

std::optional<Work> work_of(const Group& group, const std::string& name, bool from_windows) {
  Work work{.from_windows = from_windows};
  const auto values = from_windows ? window_values : run_values;
  work.baseline.values = values(group.baseline, name);
  work.candidate.values = values(group.candidate, name);
  if (work.baseline.values.empty() || work.candidate.values.empty()) return std::nullopt;
  const bool is_share = find_gate_metric(name)->is_share;
  if (from_windows) {
    const size_t longest = std::max(work.baseline.values.size(), work.candidate.values.size());
    const size_t block =
        std::max({correlated_length(work.baseline.values), correlated_length(work.candidate.values),
                  (longest + kBlocksMost - 1) / kBlocksMost});
    cut_into_blocks(work.baseline, block, is_share);
    cut_into_blocks(work.candidate, block, is_share);
    if (work.baseline.blocks.empty() || work.candidate.blocks.empty()) return std::nullopt;
  } else {
    work.baseline.blocks = work.baseline.values;
    work.candidate.blocks = work.candidate.values;
  }
  work.informative = !all_equal(work.baseline, work.candidate);
  return work;
}

void measure(Work& work, const GateOptions& options, Rng& rng) {
  MetricComparison& out = *work.out;
  out.baseline_values = work.baseline.blocks.size();
  out.candidate_values = work.candidate.blocks.size();
  const Resampling how{.draws = options.draws,
                       .confidence = options.confidence,
                       .block = std::max(work.baseline.block, work.candidate.block)};
  if (out.metric->is_share) {
    out.baseline = mean_of(work.baseline.values);
    out.candidate = mean_of(work.candidate.values);
    out.change = out.candidate - out.baseline;
    if (work.informative)
      out.interval = difference_interval(work.baseline.values, work.candidate.values, how, rng);
    return;
  }
  out.baseline = median(work.baseline.values);
  out.candidate = median(work.candidate.values);
  if (!work.informative) return;
  if (out.baseline <= 0 || out.candidate <= 0) {
    out.note = "a median is 0: no ratio";
    return;
  }
  out.change = out.candidate / out.baseline - 1;
  const Interval ratio = ratio_interval(work.baseline.values, work.candidate.values, how, rng);
  out.interval = {ratio.low - 1, ratio.high - 1};
}

// A change on a scale where worse is above 0 and a ratio and its inverse lie equally far from it.
double badness(const GateMetric& metric, double change) {
  if (metric.is_share) return change;
  const double log_ratio = std::log(std::max(1 + change, 1e-9));
  return metric.better == Better::kLower ? log_ratio : -log_ratio;
}

// The fewest runs of the side that has fewer with which the rank test can speak up at all.
int runs_to_speak(size_t more, double level) {
  int runs = 1;
  while (runs < kRunsMost &&
         smallest_p(std::max(more, static_cast<size_t>(runs)), static_cast<size_t>(runs)) > level)
    ++runs;
  return runs;
}

void decide(Work& work, const GateOptions& options, double first_level) {
  MetricComparison& out = *work.out;
  if (!work.informative) return;
  if (!out.note.empty()) {
    out.verdict = GateVerdict::kTooNoisy;
    return;
  }
  const double least =
      out.metric->is_share ? options.min_error_share : std::log1p(options.min_effect);
  const double effect = badness(*out.metric, out.change);
  double low = badness(*out.metric, out.interval.low),
         high = badness(*out.metric, out.interval.high);
  if (low > high) std::swap(low, high);
  if (effect >= least && out.p_worse <= options.alpha) {
    out.verdict = GateVerdict::kRegressed;
    return;
  }
  if (effect <= -least && out.p_better <= options.alpha) {
    out.verdict = GateVerdict::kImproved;
    return;
  }
  const size_t values = std::min(out.baseline_values, out.candidate_values);
  const bool can_speak = smallest_p(out.baseline_values, out.candidate_values) <= first_level;
  // Nothing found, and a change of twice the least effect would have shown.
  const double most = 2 * least;
  if (can_speak && std::fabs(effect) < least && low > -most && high < most) {
    if (std::min(out.p_worse, out.p_better) <= options.alpha)
      out.note = "a change, but below the least that matters";
    return;
  }
  out.verdict = GateVerdict::kTooNoisy;
  // The interval narrows with the square root of the runs. It is narrow enough when it fits between
  // the effect found and twice the least effect.
  const double half = (high - low) / 2;
  const double room = std::max(most - std::fabs(effect), least);
  const double wanted = static_cast<double>(values) * (half / room) * (half / room);
  int needed =
      std::max(runs_to_speak(std::max(out.baseline_values, out.candidate_values), first_level),
               static_cast<int>(std::ceil(std::min(wanted, 1.0 * kRunsMost))));
  if (needed <= static_cast<int>(values)) needed = static_cast<int>(values) + 2;
  if (work.from_windows) {
    out.runs_needed = kRunsDefault;
    return;
  }
  out.runs_needed = std::min(needed, kRunsMost);
  if (!can_speak)
    out.note = fmt::format("{} and {} runs are too few to tell anything", out.baseline_values,
                           out.candidate_values);
}

Result<std::vector<Group>> groups_of(const std::vector<RunSample>& baseline,
                                     const std::vector<RunSample>& candidate,
                                     const GateOptions& options,
                                     std::vector<std::string>& warnings) {
  std::vector<std::string> names;
  const auto add = [&](const std::vector<RunSample>& samples) {
    for (const RunSample& sample : samples)
      if (std::find(names.begin(), names.end(), sample.group) == names.end())
        names.push_back(sample.group);
  };
  add(baseline);
  add(candidate);
  std::vector<Group> groups;
  for (const std::string& name : names) {
    Group group{
        .name = name, .baseline = side_of(baseline, name), .candidate = side_of(candidate, name)};
    const bool in_baseline = !group.baseline.usable.empty() || group.baseline.failed > 0;
    const bool in_candidate = !group.candidate.usable.empty() || group.candidate.failed > 0;
    if (!in_baseline || !in_candidate) {
      const std::string text =
          concat("only the ", in_baseline ? "baseline" : "candidate", " has runs of ", name);
      if (!options.force)
        return Error{Code::kInvalidArgument, concat(text, "; --force compares what both have")};
      warnings.push_back(text);
      continue;
    }
    if (group.baseline.usable.empty())
      return Error{Code::kInvalidArgument,
                   concat(name,
                          ": every run of the baseline failed; there is nothing to compare "
                          "the candidate with")};
    groups.push_back(std::move(group));
  }
  if (groups.empty())
    return Error{Code::kInvalidArgument, "baseline and candidate have no kind of run in common"};
  return groups;
}

void warn_of_group(const Group& group, const GroupComparison& comparison,
                   std::vector<std::string>& warnings) {
  if (comparison.from_windows)
    warnings.push_back(
        concat(group.name,
               ": a single run on a side: compared by its time windows. How much one run "
               "differs from the next is not seen, so a change may be the machine's mood; ",
               kRunsDefault, " interleaved runs a side tell"));
  if (group.baseline.saturated + group.candidate.saturated > 0)
    warnings.push_back(concat(group.name, ": the generator was saturated in ",
                              group.baseline.saturated, " baseline and ", group.candidate.saturated,
                              " candidate runs: their figures are its own limit"));
  if (group.baseline.failed + group.candidate.failed > 0)
    warnings.push_back(concat(group.name, ": ", group.baseline.failed, " baseline and ",
                              group.candidate.failed, " candidate runs failed and are left out"));
}

}  // namespace

const char* gate_verdict_name(GateVerdict verdict) {
  switch (verdict) {
    case GateVerdict::kSame:
      return "same";
    case GateVerdict::kImproved:
      return "improved";
    case GateVerdict::kTooNoisy:
      return "too noisy to tell";
    case GateVerdict::kRegressed:
      return "regressed";
  }
  return "?";
}

Result<GateReport> compare_runs(const std::vector<RunSample>& baseline,
                                const std::vector<RunSample>& candidate,
                                const GateOptions& options) {
  GateReport report{.options = options};
  for (const std::string& name : options.metrics)
    if (find_gate_metric(name) == nullptr)
      return Error{Code::kInvalidArgument, concat("there is no metric ", in_quotes(name))};
  SIS_TRY(check_conditions(baseline, candidate, options, report.warnings));
  SIS_ASSIGN(const std::vector<Group> groups,
             groups_of(baseline, candidate, options, report.warnings));

  std::vector<std::vector<Work>> works;
  for (const Group& group : groups) {
    const Side &a = group.baseline, &b = group.candidate;
    GroupComparison comparison{.group = group.name,
                               .baseline_runs = a.usable.size(),
                               .candidate_runs = b.usable.size(),
                               .baseline_failed = a.failed,
                               .candidate_failed = b.failed};
    comparison.from_windows = !b.usable.empty() &&
                              std::min(a.usable.size(), b.usable.size()) == 1 && a.has_windows &&
                              b.has_windows;
    comparison.broken = b.failed > 0 && 2 * b.failed >= b.failed + b.usable.size() &&
                        4 * a.failed < a.usable.size();
    std::vector<Work> of_group;
    for (const std::string& name : metrics_wanted(options)) {
      auto work = work_of(group, name, comparison.from_windows);
      if (!work) continue;
      comparison.metrics.push_back({.metric = find_gate_metric(name)});
      of_group.push_back(std::move(*work));
    }
    if (of_group.empty() && !comparison.broken)
      return Error{Code::kInvalidArgument,
                   concat(group.name, ": the runs have none of the wanted metrics in common")};
    warn_of_group(group, comparison, report.warnings);
    report.groups.push_back(std::move(comparison));
    works.push_back(std::move(of_group));
  }

  // Metrics whose values are all equal cannot raise an alarm under any split and count for nothing.
  Rng rng(options.seed);
  std::vector<Work*> tested;
  std::vector<double> worse, better;
  for (size_t g = 0; g < works.size(); ++g) {
    for (size_t i = 0; i < works[g].size(); ++i) {
      Work& work = works[g][i];
      work.out = &report.groups[g].metrics[i];
      measure(work, options, rng);
      if (!work.informative) continue;
      const bool lower = work.out->metric->better == Better::kLower;
      const double up = rank_test(work.baseline.blocks, work.candidate.blocks);
      const double down = rank_test(work.candidate.blocks, work.baseline.blocks);
      worse.push_back(lower ? up : down);
      better.push_back(lower ? down : up);
      tested.push_back(&work);
    }
  }
  worse = holm(worse);
  better = holm(better);
  const double first_level =
      options.alpha / static_cast<double>(std::max<size_t>(tested.size(), 1));
  for (size_t i = 0; i < tested.size(); ++i) {
    tested[i]->out->p_worse = worse[i];
    tested[i]->out->p_better = better[i];
    decide(*tested[i], options, first_level);
  }
  for (const GroupComparison& group : report.groups) {
    if (group.broken) report.verdict = GateVerdict::kRegressed;
    for (const MetricComparison& metric : group.metrics)
      report.verdict = std::max(report.verdict, metric.verdict);
  }
  return report;
}

}  // namespace sis::perf
