// sis gate compare, check, record, history.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/strings.h"
#include "perf/gate/gate.h"
#include "perf/gate/history.h"
#include "perf/gate/thresholds.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

// Collects the values of a flag that may be given many times.
std::function<Status(std::string_view)> into(std::vector<std::string>& values) {
  return [&values](std::string_view text) -> Status {
    values.emplace_back(text);
    return {};
  };
}

struct Parsed {
  std::vector<std::string> others;
  std::optional<int> exit_code;  // done already
};

Parsed parse(const BenchContext& context, FlagSet& flags,
             const std::vector<std::string>& arguments) {
  auto others = flags.parse(arguments, context.environment);
  if (!others.ok()) return {{}, gate_complain(context, others.error())};
  if (flags.help_wanted()) {
    fmt::print(context.out, "{}", flags.help());
    return {{}, kExitOk};
  }
  return {std::move(*others), std::nullopt};
}

Error want(const std::string& what) { return Error{Code::kInvalidArgument, what}; }

}  // namespace

int gate_compare(const BenchContext& context, const std::vector<std::string>& arguments) {
  GateFlags gate_flags;
  std::vector<std::string> baseline_files, candidate_files;
  std::string history;
  int64_t last = 20;
  bool record = false;
  std::string label;
  FlagSet flags("sis gate --baseline B.json ... --candidate C.json ... [flags]",
                "Compares runs of 'sis bench --json'. Exit code: 0 nothing is worse, 99 regressed, "
                "104 wrong arguments or files.");
  flags.section("Runs");
  flags.custom({{"baseline"}, {}}, "FILE ...", "", "runs before the change", into(baseline_files));
  flags.custom({{"candidate"}, {}}, "FILE ...", "", "runs with the change", into(candidate_files));
  flags.text({{"history"}, {}}, &history, "DIR", "take the baseline from what was recorded there");
  flags.integer({{"last"}, {}}, &last, 1, 1000, "good runs of the history to compare with");
  flags.toggle({{"record"}, {}}, &record,
               "with --history: keep the candidate there, as a baseline unless it regressed");
  flags.text({{"label"}, {}}, &label, "TEXT", "what to record it as: a commit, say");
  gate_flags.add_to(flags);
  Parsed parsed =
      parse(context, flags, with_repeated_flags(arguments, {"--baseline", "--candidate"}));
  if (parsed.exit_code) return *parsed.exit_code;
  if (!parsed.others.empty())
    return gate_complain(context,
                         want(concat("want flags only, got ", in_quotes(parsed.others.front()))));
  if (candidate_files.empty()) return gate_complain(context, want("--candidate: want a file"));
  if (baseline_files.empty() == history.empty())
    return gate_complain(context, want("want either --baseline FILE ... or --history DIR"));
  if (record && history.empty())
    return gate_complain(context, want("--record: wants --history as well"));

  const auto candidate = read_files(candidate_files, gate_flags.scenario);
  if (!candidate.ok()) return gate_complain(context, candidate.error());
  Result<std::vector<RunSample>> baseline = [&]() -> Result<std::vector<RunSample>> {
    if (history.empty()) return read_files(baseline_files, gate_flags.scenario);
    SIS_ASSIGN(const std::vector<HistoryEntry> entries, read_history(history));
    // Only what the candidate has: other kinds of runs live in the same folder.
    std::vector<RunSample> all = last_good(entries, static_cast<size_t>(last));
    std::erase_if(all, [&](const RunSample& sample) {
      for (const RunSample& other : *candidate)
        if (other.group == sample.group) return false;
      return true;
    });
    return all;
  }();
  if (!baseline.ok()) return gate_complain(context, baseline.error());
  int exit_code = kExitOk;
  if (baseline->empty() && !history.empty() && record) {
    fmt::print(context.out, "{} has no good runs of this kind yet: recorded, not compared\n",
               history);
  } else if (baseline->empty()) {
    return gate_complain(
        context,
        want(concat(history, " has no good runs of this kind; 'sis gate record' adds some")));
  } else {
    exit_code = compare_and_report(context, gate_flags, *baseline, *candidate);
  }
  if (record && (exit_code == kExitOk || exit_code == kExitRegressed)) {
    const auto ids =
        record_history({.directory = history}, *candidate, label, exit_code == kExitOk);
    if (!ids.ok()) return gate_complain(context, ids.error(), kExitFailed);
    fmt::print(context.messages, "recorded as {}{}\n", join_list(*ids),
               exit_code == kExitOk ? "" : ", not as a baseline");
  }
  return exit_code;
}

int gate_check(const BenchContext& context, const std::vector<std::string>& arguments) {
  Thresholds thresholds;
  std::string json;
  FlagSet flags("sis gate check RUN.json ... --threshold METRIC:EXPRESSION [flags]",
                "Checks thresholds on runs that are over. Exit code: 0 all are met, 99 one is "
                "crossed, 104 wrong arguments or files.");
  flags.section("Thresholds");
  flags.custom({{"threshold"}, {}}, "METRIC:EXPR", "",
               "as in http_req_duration:p(95)<500; may be given many times",
               [&](std::string_view text) { return thresholds.add_flag(text); });
  flags.section("Output");
  flags.text({{"json"}, {}}, &json, "FILE|-", "the results as JSON; - prints them instead");
  const Parsed parsed = parse(context, flags, arguments);
  if (parsed.exit_code) return *parsed.exit_code;
  if (parsed.others.empty()) return gate_complain(context, want("want a RUN.json"));
  if (thresholds.empty()) return gate_complain(context, want("--threshold: want at least one"));

  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  bool ok = true;
  for (const std::string& file : parsed.others) {
    const auto document = read_document_file(file);
    if (!document.ok()) return gate_complain(context, document.error());
    if (const auto samples = read_samples(*document, file, ""); !samples.ok())
      return gate_complain(context, samples.error());
    for (const auto& run : (*document)["runs"]) {
      const std::vector<ThresholdResult> results = thresholds.evaluate(run);
      ok &= all_met(results);
      fmt::print(json == "-" ? context.messages : context.out, "{}: {}{}", file,
                 run.value("what", ""), "\n" + thresholds_text(results));
      out.push_back({{"file", file}, {"thresholds", thresholds_json(results)}});
    }
  }
  if (!json.empty())
    if (const Status written = write_text(context, json, out.dump(1) + "\n"); !written.ok())
      return gate_complain(context, prefixed("--json", written.error()), kExitFailed);
  return ok ? kExitOk : kExitThresholdsCrossed;
}

int gate_record(const BenchContext& context, const std::vector<std::string>& arguments) {
  HistoryOptions options;
  int64_t keep = static_cast<int64_t>(options.keep), retract = 0;
  std::string label, scenario;
  bool bad = false;
  FlagSet flags("sis gate record --history DIR RUN.json ... [flags]",
                "Keeps runs, so that later ones are compared with them: sis gate --history DIR "
                "--candidate ...");
  flags.text({{"history"}, {}}, &options.directory, "DIR", "where; made when it is not there");
  flags.text({{"label"}, {}}, &label, "TEXT", "what it is: a commit, say");
  flags.text({{"scenario"}, {}}, &scenario, "NAME", "this scenario of the runs, not the whole");
  flags.toggle({{"bad"}, {}}, &bad, "keep it for the record, not as a baseline");
  flags.integer({{"keep"}, {}}, &keep, 1, 100'000, "entries; the oldest are dropped");
  flags.integer({{"retract"}, {}}, &retract, 1, INT64_MAX,
                "say of entry N that it is no baseline any more");
  const Parsed parsed = parse(context, flags, arguments);
  if (parsed.exit_code) return *parsed.exit_code;
  options.keep = static_cast<size_t>(keep);
  if (options.directory.empty()) return gate_complain(context, want("--history: want a folder"));
  if (retract > 0) {
    if (!parsed.others.empty())
      return gate_complain(context, want("--retract: wants no files beside it"));
    const Status done = retract_history(options, retract);
    return done.ok() ? kExitOk : gate_complain(context, done.error());
  }
  if (parsed.others.empty()) return gate_complain(context, want("want a RUN.json"));
  const auto samples = read_files(parsed.others, scenario);
  if (!samples.ok()) return gate_complain(context, samples.error());
  const auto ids = record_history(options, *samples, label, !bad);
  if (!ids.ok()) return gate_complain(context, ids.error(), kExitFailed);
  fmt::print(context.out, "recorded as {} in {}\n", join_list(*ids), options.directory);
  return kExitOk;
}

int gate_history(const BenchContext& context, const std::vector<std::string>& arguments) {
  std::string directory;
  int64_t last = 50;
  FlagSet flags("sis gate history --history DIR [flags]", "Lists recorded runs, the oldest first.");
  flags.text({{"history"}, {}}, &directory, "DIR", "where they are");
  flags.integer({{"last"}, {}}, &last, 1, 100'000, "at most so many");
  const Parsed parsed = parse(context, flags, arguments);
  if (parsed.exit_code) return *parsed.exit_code;
  if (directory.empty() && parsed.others.size() == 1) directory = parsed.others.front();
  if (directory.empty()) return gate_complain(context, want("--history: want a folder"));
  const auto entries = read_history(directory);
  if (!entries.ok()) return gate_complain(context, entries.error());
  fmt::print(context.out, "{:>6}  {:<20}  {:<11}  {:>9}  {:>9}  {:>9}  {:>9}  {:<28}  {}\n", "ID",
             "RECORDED", "BASELINE", "P50 MS", "P99 MS", "REQ/S", "ERRORS", "WHAT", "LABEL");
  const size_t count = std::min(entries->size(), static_cast<size_t>(last));
  for (size_t i = entries->size() - count; i < entries->size(); ++i) {
    const HistoryEntry& entry = (*entries)[i];
    const auto figure = [&](const char* name) {
      const auto found = entry.sample.figures.find(name);
      return found == entry.sample.figures.end() ? std::string("-") : short_number(found->second);
    };
    const auto errors = entry.sample.figures.find("error_rate");
    const char* state = entry.good                                        ? "yes"
                        : entry.sample.state == SampleState::kFailed      ? "failed"
                        : entry.sample.state == SampleState::kInterrupted ? "interrupted"
                                                                          : "no";
    fmt::print(context.out, "{:>6}  {:<20}  {:<11}  {:>9}  {:>9}  {:>9}  {:>9}  {:<28}  {}\n",
               entry.id, entry.recorded, state, figure("latency_p50"), figure("latency_p99"),
               figure("throughput"),
               errors == entry.sample.figures.end() ? std::string("-")
                                                    : fmt::format("{:.2f} %", errors->second * 100),
               entry.sample.group, entry.label);
  }
  return kExitOk;
}

}  // namespace sis::perf
