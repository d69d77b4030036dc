#include "perf/gate/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/gate/gate_report.h"

namespace sis::perf {
namespace {

constexpr size_t kFilesMax = 1000;

struct Command {
  const char* name;
  const char* about;
  int (*run)(const BenchContext&, const std::vector<std::string>&);
};
constexpr Command kCommands[] = {
    {"run", "measures two servers in turns and compares them", gate_run},
    {"check", "thresholds on runs that are over", gate_check},
    {"record", "keeps runs as a baseline for later ones", gate_record},
    {"history", "lists what was recorded", gate_history},
    {"noise", "how often the gate would be wrong on this machine", gate_noise},
};

void print_usage(std::FILE* out) {
  fmt::print(out,
             "usage: sis gate --baseline B.json ... --candidate C.json ... [flags]\n"
             "       sis gate --history DIR --candidate C.json ... [flags]\n"
             "       sis gate <what> [flags]\n\n"
             "Tells whether the candidate is slower than the baseline, and whether the runs are\n"
             "enough to tell.\n\n");
  for (const Command& command : kCommands)
    fmt::print(out, "  {:<12}{}\n", command.name, command.about);
  fmt::print(out,
             "\n'sis gate <what> --help' lists the flags, 'sis gate compare --help' those of a "
             "comparison.\nExit code: 0 nothing is worse, 99 regressed, 104 wrong arguments or "
             "files.\n");
}

}  // namespace

int gate(const BenchContext& context, const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    print_usage(context.messages);
    return kExitBadInput;
  }
  if (arguments[0] == "--help" || arguments[0] == "-h") {
    print_usage(context.out);
    return kExitOk;
  }
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  for (const Command& command : kCommands)
    if (arguments[0] == command.name) return command.run(context, rest);
  if (arguments[0] == "compare") return gate_compare(context, rest);
  if (arguments[0].starts_with("-")) return gate_compare(context, arguments);
  fmt::print(context.messages, "sis gate: there is no command {}\n", in_quotes(arguments[0]));
  print_usage(context.messages);
  return kExitBadInput;
}

int gate_complain(const BenchContext& context, const Error& error, int exit_code) {
  fmt::print(context.messages, "sis gate: {}\n", error.message);
  return exit_code;
}

Status write_text(const BenchContext& context, const std::string& file, const std::string& text) {
  if (file == "-") {
    std::fwrite(text.data(), 1, text.size(), context.out);
    std::fflush(context.out);
    return {};
  }
  std::FILE* out = std::fopen(file.c_str(), "wb");
  bool written = out != nullptr && std::fwrite(text.data(), 1, text.size(), out) == text.size();
  if (out != nullptr) written = std::fclose(out) == 0 && written;
  if (!written)
    return Error{Code::kInternal,
                 concat("cannot write ", in_quotes(file), ": ", std::strerror(errno))};
  return {};
}

std::vector<std::string> with_repeated_flags(const std::vector<std::string>& arguments,
                                             const std::vector<std::string>& lists) {
  std::vector<std::string> out;
  std::string list;  // whose values are being read
  bool has_value = false;
  for (const std::string& argument : arguments) {
    if (argument.starts_with("-") && argument != "-") {
      const bool known = std::find(lists.begin(), lists.end(), argument) != lists.end();
      list = known ? argument : std::string();
      has_value = false;
      out.push_back(argument);
      continue;
    }
    if (!list.empty() && has_value) out.push_back(list);
    has_value = true;
    out.push_back(argument);
  }
  return out;
}

void GateFlags::add_to(FlagSet& flags) {
  flags.section("Comparison");
  flags.number({{"min-effect"}, {}}, &min_effect, 0.1, 1000,
               "% of change that matters; less is never a regression");
  flags.number({{"min-errors"}, {}}, &min_error_share, 0.001, 100,
               "percentage points of more failures that matter");
  flags.number({{"alpha"}, {}}, &alpha, 0.01, 50,
               "% chance of any false alarm, over all metrics together");
  flags.custom(
      {{"metrics"}, {}}, "A,B", "all that were measured",
      "of: " +
          [] {
            std::vector<std::string> names;
            for (const GateMetric& metric : gate_metrics()) names.emplace_back(metric.name);
            return join_list(names);
          }(),
      [this](std::string_view text) -> Status {
        options.metrics = split_list(text);
        for (const std::string& name : options.metrics)
          if (find_gate_metric(name) == nullptr)
            return Error{Code::kInvalidArgument, concat("there is no metric ", in_quotes(name))};
        return {};
      });
  flags.text({{"scenario"}, {}}, &scenario, "NAME",
             "compare this scenario of the runs, not the whole");
  flags.toggle({{"force"}, {}}, &options.force,
               "compare although load or machine differ; the report says so");
  flags.toggle({{"fail-if-noisy"}, {}}, &fail_if_noisy,
               "exit 99 also when it is too noisy to tell");
  flags.integer({{"seed"}, {}}, &seed, 0, INT64_MAX, "of the bootstrap");
  flags.section("Output");
  flags.text({{"markdown"}, {}}, &markdown, "FILE|-", "a table for a merge request");
  flags.text({{"json"}, {}}, &json, "FILE|-", "all of it as JSON; - prints it instead of the text");
}

GateOptions GateFlags::resolved() const {
  GateOptions out = options;
  out.min_effect = min_effect / 100;
  out.min_error_share = min_error_share / 100;
  out.alpha = alpha / 100;
  out.seed = static_cast<uint64_t>(seed);
  return out;
}

int compare_and_report(const BenchContext& context, const GateFlags& flags,
                       const std::vector<RunSample>& baseline,
                       const std::vector<RunSample>& candidate) {
  const auto report = compare_runs(baseline, candidate, flags.resolved());
  if (!report.ok()) return gate_complain(context, report.error());
  const bool quiet = flags.json == "-" || flags.markdown == "-";
  fmt::print(quiet ? context.messages : context.out, "{}", gate_text(*report));
  if (!flags.markdown.empty())
    if (const Status written = write_text(context, flags.markdown, gate_markdown(*report));
        !written.ok())
      return gate_complain(context, prefixed("--markdown", written.error()), kExitFailed);
  if (!flags.json.empty()) {
    const std::string text =
        gate_json(*report).dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    if (const Status written = write_text(context, flags.json, text); !written.ok())
      return gate_complain(context, prefixed("--json", written.error()), kExitFailed);
  }
  if (report->verdict == GateVerdict::kRegressed) return kExitRegressed;
  if (report->verdict == GateVerdict::kTooNoisy && flags.fail_if_noisy) return kExitRegressed;
  return kExitOk;
}

Result<std::vector<RunSample>> read_files(const std::vector<std::string>& files,
                                          const std::string& scenario) {
  if (files.size() > kFilesMax)
    return Error{Code::kInvalidArgument,
                 concat("want at most ", kFilesMax, " files, got ", files.size())};
  std::vector<RunSample> samples;
  for (const std::string& file : files) {
    SIS_ASSIGN(const nlohmann::ordered_json document, read_document_file(file));
    SIS_ASSIGN(std::vector<RunSample> of_file, read_samples(document, file, scenario));
    samples.insert(samples.end(), std::make_move_iterator(of_file.begin()),
                   std::make_move_iterator(of_file.end()));
  }
  return samples;
}

}  // namespace sis::perf
