// One run after the other over the levels of a sweep, and the table that compares them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/bench/common.h"
#include "perf/join/server_join.h"
#include "perf/report/progress.h"
#include "perf/report/shown_url.h"

namespace sis::perf {
namespace {

constexpr double kFailedShareMax = 0.01;  // of the requests, for a level to keep a limit

struct LevelRun {
  double value = 0, requests_per_s = 0, tokens_per_s = 0;
  double p50_ms = 0, p90_ms = 0, p99_ms = 0;
  uint64_t requests = 0, failures = 0;
  Verdict verdict;
  std::optional<bool> kept;  // the searched limit
};

int exit_code_of(VerdictKind kind) {
  switch (kind) {
    case VerdictKind::kValid:
    case VerdictKind::kGeneratorSaturated:
    case VerdictKind::kServerSaturated:
      return kExitOk;
    case VerdictKind::kIncomplete:
    case VerdictKind::kFailed:
      return kExitFailed;
  }
  return kExitFailed;
}

LevelRun level_run(double value, const RunOptions& options, const RunResult& result,
                   const std::optional<LatencyLimit>& limit) {
  const Tally& tally = result.tally;
  const double wall_s = tally.wall_s();
  const bool window = tally.window_end != TimePoint{};
  LevelRun out{.value = value, .verdict = judge_run(options, result)};
  const auto rate = [&](uint64_t all, uint64_t in_window) {
    return wall_s > 0 ? static_cast<double>(window ? in_window : all) / wall_s : 0;
  };
  out.requests_per_s = rate(tally.ok, tally.ok_in_window);
  out.tokens_per_s = rate(tally.generation.output_tokens, tally.generation.output_tokens_in_window);
  const Histogram latency = tally.latency_all_due();
  out.p50_ms = latency.quantile_ms(0.5);
  out.p90_ms = latency.quantile_ms(0.9);
  out.p99_ms = latency.quantile_ms(0.99);
  out.requests = tally.ok + tally.failed;
  out.failures = tally.failed;
  if (limit) {
    const double value_ms = !limit->quantile        ? latency.mean_ms()
                            : *limit->quantile == 1 ? latency.max_ms()
                                                    : latency.quantile_ms(*limit->quantile);
    out.kept =
        tally.ok > 0 && value_ms < limit->limit_ms &&
        static_cast<double>(tally.failed) <= kFailedShareMax * static_cast<double>(out.requests) &&
        out.verdict.kind != VerdictKind::kServerSaturated;
  }
  return out;
}

std::string level_text(double value) {
  return value == std::floor(value) ? with_commas(static_cast<uint64_t>(value))
                                    : fmt::format("{:g}", value);
}

std::string sweep_table(const std::string& name, const std::vector<LevelRun>& levels,
                        const std::optional<LatencyLimit>& limit) {
  const bool tokens = std::any_of(levels.begin(), levels.end(),
                                  [](const LevelRun& level) { return level.tokens_per_s > 0; });
  const std::string title = name == "concurrency" ? "concurrency" : "rate";
  std::string out =
      fmt::format("{:>11} {:>12}{} {:>10} {:>10} {:>10} {:>9}  {}\n", title, "requests/s",
                  tokens ? fmt::format(" {:>12}", "tokens/s") : "", "p50 ms", "p90 ms", "p99 ms",
                  "failures", limit ? limit->text() : "verdict");
  for (const LevelRun& level : levels) {
    std::string last = verdict_name(level.verdict.kind);
    if (level.kept) last = concat(*level.kept ? "kept" : "not kept", ", ", last);
    out += fmt::format("{:>11} {:>12}{} {:>10} {:>10} {:>10} {:>9}  {}\n", level_text(level.value),
                       short_number(level.requests_per_s),
                       tokens ? fmt::format(" {:>12}", short_number(level.tokens_per_s)) : "",
                       short_number(level.p50_ms), short_number(level.p90_ms),
                       short_number(level.p99_ms), with_commas(level.failures), last);
  }
  return out;
}

struct OneRun {
  int exit_code = kExitFailed;
  std::optional<RunResult> result;  // none: nothing could be reached
};

OneRun run_one(const BenchContext& context, const LoadFlags& flags, const RunOptions& options,
               const RunLabel& label, const std::optional<Level>& level, const Workload& workload,
               nlohmann::ordered_json& runs) {
  std::FILE* out = flags.json == "-" ? context.messages : context.out;
  if (const Status checked = flags.thresholds.check(workload); !checked.ok())
    return {.exit_code = complain(context, checked.error(), kExitBadThreshold)};
  ThresholdRun thresholds(flags.thresholds, workload);
  const RunOptions watched = thresholds.watched(options);
  std::string name = label.model.empty() ? label.what : concat(label.what, " ", label.model);
  if (level) name += concat(" at ", level_text(level->value));
  ServerJoin join({.url = options.url,
                   .metrics = flags.server_metrics,
                   .model = label.model,
                   .every = flags.server_metrics_every,
                   .verify_tls = options.verify_tls});
  Result<RunResult> result = [&] {
    ProgressPrinter printer(flags.progress ? context.messages : nullptr, name, options);
    RunOptions shown = watched;
    shown.on_window = [&](const Window& window) {
      printer.note(window);
      return !watched.on_window || watched.on_window(window);
    };
    shown.on_warmed_up = [&] { join.begin_again(); };
    return run_until(flags.stop_when ? &*flags.stop_when : nullptr, shown, workload, context.stop,
                     [&](const Progress& progress) { printer.show(progress); });
  }();
  if (!result.ok()) {
    nlohmann::ordered_json failed;
    failed["what"] = label.what;
    if (!label.model.empty()) failed["model"] = label.model;
    failed["url"] = shown_url(options.url.text());
    if (level) failed["level"] = {{level->name, level->value}};
    failed["verdict"] = verdict_name(VerdictKind::kFailed);
    failed["verdict_reason"] = result.error().message;
    runs.push_back(std::move(failed));
    return {.exit_code = complain(context, result.error(), kExitFailed)};
  }
  result->level = level;
  fmt::print(out, "{}", summary_text(label, options, *result, flags.verbose));
  runs.push_back(summary_json(label, options, *result));
  if (const auto server = join.end(); !server.empty()) {
    fmt::print(out, "{}", server_lines(server));
    runs.back()["server"] = server;
  }
  runs.back()["host_cpu"] = join.host();
  const int crossed = thresholds.judge(runs.back(), out);
  const int exit_code = result->tally.interrupted ? kExitInterrupted
                        : crossed != kExitOk      ? crossed
                                                  : exit_code_of(judge_run(options, *result).kind);
  return {.exit_code = exit_code, .result = std::move(*result)};
}

}  // namespace

int run_and_report(const BenchContext& context, const LoadFlags& flags, const RunOptions& options,
                   const RunLabel& label, const Workload& workload, nlohmann::ordered_json& runs) {
  Sweep sweep = flags.sweep();
  if (sweep.name.empty())
    return run_one(context, flags, options, label, std::nullopt, workload, runs).exit_code;

  std::FILE* out = flags.json == "-" ? context.messages : context.out;
  std::vector<LevelRun> levels;
  RunOptions level_options = options;
  int exit_code = kExitOk;
  for (size_t i = 0;; ++i) {
    const std::optional<double> value = sweep.search              ? sweep.search->next()
                                        : i < sweep.values.size() ? std::optional(sweep.values[i])
                                                                  : std::nullopt;
    if (!value) break;
    if (sweep.name == "concurrency")
      level_options.connections = static_cast<int>(*value);
    else
      level_options.rate = *value;
    if (i > 0) fmt::print(out, "\n");
    const OneRun run = run_one(context, flags, level_options, label,
                               Level{.name = sweep.name, .value = *value}, workload, runs);
    exit_code = std::max(exit_code, run.exit_code);
    if (!run.result) break;
    levels.push_back(level_run(*value, level_options, *run.result, flags.search));
    level_options.first_index = run.result->next_index;  // no text comes twice
    if (sweep.search) {
      const bool kept = *levels.back().kept;
      runs.back()["search"] = {{"limit", flags.search->text()}, {"kept", kept}};
      sweep.search->note(*value, kept);
    }
    if (context.stop != nullptr && context.stop->load()) break;
  }
  if (levels.size() > 1) fmt::print(out, "\n{}", sweep_table(sweep.name, levels, flags.search));
  if (sweep.search && !levels.empty()) {
    const auto best = sweep.search->best();
    fmt::print(out, "{}\n",
               best ? fmt::format("highest {} with {}: {}",
                                  sweep.name == "concurrency" ? "concurrency" : "rate",
                                  flags.search->text(), level_text(*best))
                    : fmt::format("no level keeps {}", flags.search->text()));
  }
  return exit_code;
}

}  // namespace sis::perf
