// sis gate run: two servers measured in turns, so that what the machine does meanwhile falls on
// both.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "base/strings.h"
#include "perf/bench/commands.h"
#include "perf/gate/gate.h"
#include "perf/gate/thresholds.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRunLength = "10s";  // when the bench flags say nothing of it

// A folder for the documents; one of our own making goes away again.
class Folder {
 public:
  static Result<std::unique_ptr<Folder>> make(const std::string& wanted) {
    if (!wanted.empty()) {
      std::error_code error;
      fs::create_directories(wanted, error);
      if (error)
        return Error{Code::kInternal,
                     concat("--out: cannot make ", in_quotes(wanted), ": ", error.message())};
      return std::unique_ptr<Folder>(new Folder(wanted, false));
    }
    std::string name = (fs::temp_directory_path() / "sis-gate-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      return Error{Code::kInternal, concat("cannot make a folder ", name)};
    return std::unique_ptr<Folder>(new Folder(name, true));
  }
  ~Folder() {
    std::error_code error;
    if (own_) fs::remove_all(path_, error);
  }
  Folder(const Folder&) = delete;
  fs::path path() const { return path_; }

 private:
  Folder(fs::path path, bool own) : path_(std::move(path)), own_(own) {}
  fs::path path_;
  bool own_;
};

struct NullOutput {
  NullOutput() : file(std::fopen("/dev/null", "w")) {}
  ~NullOutput() {
    if (file != nullptr) std::fclose(file);
  }
  NullOutput(const NullOutput&) = delete;
  std::FILE* file;
};

struct Contest {
  std::string urls[2];  // baseline, candidate
  std::vector<std::string> bench;
  int runs = kRunsDefault, discarded = 1;
  uint64_t seed = 1;
};

bool is_flag(const std::string& argument, const char* name) {
  const std::string flag = concat("--", name);
  return argument == flag || argument.starts_with(flag + "=");
}

Status check_bench_arguments(std::vector<std::string>& bench) {
  if (bench.empty() || bench.front().starts_with("-"))
    return Error{Code::kInvalidArgument,
                 "want what to run behind --, as in: -- embeddings --duration 10s"};
  bool has_length = false;
  for (const std::string& argument : bench) {
    for (const char* taken : {"base-url", "url", "json"})
      if (is_flag(argument, taken))
        return Error{Code::kInvalidArgument,
                     concat("--", taken, ": not behind --; the gate sets it itself")};
    for (const char* length : {"duration", "n-requests", "requests"})
      has_length |= is_flag(argument, length);
  }
  if (!has_length) bench.insert(bench.end(), {"--duration", kRunLength});
  return {};
}

bool stopped(const BenchContext& context) { return context.stop != nullptr && *context.stop; }

// One run; its samples are added unless it is to be discarded.
Status run_once(const BenchContext& context, const Contest& contest, int side, const fs::path& file,
                std::vector<RunSample>* samples) {
  static constexpr const char* kSides[] = {"baseline", "candidate"};
  std::vector<std::string> arguments = contest.bench;
  arguments.insert(arguments.end(),
                   {"--base-url", contest.urls[side], "--json", file.string(), "--no-progress"});
  // A run that fails writes nothing: what an earlier one left must not be taken for its figures.
  std::error_code trouble;
  fs::remove(file, trouble);
  if (trouble)
    return Error{Code::kInternal,
                 concat("cannot remove ", in_quotes(file.string()), ": ", trouble.message())};
  const NullOutput nowhere;
  if (nowhere.file == nullptr) return Error{Code::kInternal, "cannot open /dev/null"};
  BenchContext inner = context;
  inner.out = nowhere.file;
  inner.command = "sis bench " + shown_command(arguments);
  const int exit_code = bench(inner, arguments);
  if (exit_code != kExitOk && exit_code != kExitFailed && exit_code != kExitThresholdsCrossed &&
      !stopped(context))
    return Error{Code::kInvalidArgument,
                 concat("'", inner.command, "' ended with exit code ", exit_code)};
  if (stopped(context)) return {};
  if (!fs::exists(file, trouble))
    return Error{Code::kUnavailable,
                 concat(kSides[side], ": '", inner.command, "' ended with exit code ", exit_code,
                        " and wrote no figures to ", in_quotes(file.string()))};
  if (samples == nullptr) return {};
  SIS_ASSIGN(const std::vector<RunSample> of_run, read_files({file.string()}, ""));
  for (const RunSample& sample : of_run) {
    const auto figure = [&](const char* name) {
      const auto found = sample.figures.find(name);
      return found == sample.figures.end() ? std::string("-") : short_number(found->second);
    };
    fmt::print(context.messages, "{:<9}  {}: p50 {} ms  p99 {} ms  {} requests/s{}\n", kSides[side],
               sample.group, figure("latency_p50"), figure("latency_p99"), figure("throughput"),
               sample.state == SampleState::kUsable ? "" : "  FAILED: " + sample.reason);
  }
  samples->insert(samples->end(), of_run.begin(), of_run.end());
  return {};
}

// Pairs in random order, so that neither side is always the first.
Status run_contest(const BenchContext& context, const Contest& contest, const fs::path& folder,
                   std::vector<RunSample> (&samples)[2]) {
  Rng rng(contest.seed);
  for (int pair = -contest.discarded; pair < contest.runs && !stopped(context); ++pair) {
    const int first = static_cast<int>(rng.below(2));
    if (pair >= 0) fmt::print(context.messages, "pair {}/{}\n", pair + 1, contest.runs);
    for (const int side : {first, 1 - first}) {
      if (stopped(context)) break;
      const fs::path file =
          folder / fmt::format("{}-{}.json", side == 0 ? "baseline" : "candidate",
                               pair < 0 ? "warmup" : fmt::format("{:03}", pair + 1));
      SIS_TRY(run_once(context, contest, side, file, pair < 0 ? nullptr : &samples[side]));
    }
  }
  return {};
}

}  // namespace

int gate_run(const BenchContext& context, const std::vector<std::string>& arguments) {
  GateFlags gate_flags;
  Contest contest;
  std::string out;
  int64_t runs = kRunsDefault, discarded = 1;
  FlagSet flags(
      "sis gate run --baseline-url U1 --candidate-url U2 [flags] -- WHAT [bench flags]",
      "Measures two servers in turns with 'sis bench WHAT' and compares them. Runs are 10 "
      "s long unless the bench flags say otherwise.");
  flags.section("Runs");
  flags.text({{"baseline-url"}, {}}, &contest.urls[0], "URL", "the server before the change");
  flags.text({{"candidate-url"}, {}}, &contest.urls[1], "URL", "the server with it");
  flags.integer({{"runs"}, {}}, &runs, 2, 1000, "of each server");
  flags.integer({{"discard"}, {}}, &discarded, 0, 100,
                "runs of each server before these, not counted");
  flags.text({{"out"}, {}}, &out, "DIR", "keep the documents of the runs there");
  gate_flags.add_to(flags);
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  contest.bench.assign(dashes == arguments.end() ? dashes : dashes + 1, arguments.end());
  const auto others = flags.parse({arguments.begin(), dashes}, context.environment);
  if (!others.ok()) return gate_complain(context, others.error());
  if (flags.help_wanted()) {
    fmt::print(context.out, "{}", flags.help());
    return kExitOk;
  }
  const auto refuse = [&](std::string message) {
    return gate_complain(context, Error{Code::kInvalidArgument, std::move(message)});
  };
  if (!others->empty())
    return refuse(concat("want flags only before --, got ", in_quotes(others->front())));
  if (contest.urls[0].empty() || contest.urls[1].empty())
    return refuse("want --baseline-url URL and --candidate-url URL");
  if (const Status checked = check_bench_arguments(contest.bench); !checked.ok())
    return gate_complain(context, checked.error());
  contest.runs = static_cast<int>(runs);
  contest.discarded = static_cast<int>(discarded);
  contest.seed = static_cast<uint64_t>(gate_flags.seed);

  const auto folder = Folder::make(out);
  if (!folder.ok()) return gate_complain(context, folder.error(), kExitFailed);
  std::vector<RunSample> samples[2];
  const Status done = run_contest(context, contest, (*folder)->path(), samples);
  if (!done.ok()) return gate_complain(context, done.error());
  if (stopped(context)) {
    fmt::print(context.messages, "sis gate: interrupted after {} baseline and {} candidate runs\n",
               samples[0].size(), samples[1].size());
    return kExitInterrupted;
  }
  return compare_and_report(context, gate_flags, samples[0], samples[1]);
}

}  // namespace sis::perf
