// sis gate noise: how often the gate would be wrong on this machine, tried on runs of one build.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "base/strings.h"
#include "perf/gate/gate.h"

namespace sis::perf {
namespace {

constexpr int kDraws = 100;  // the bootstrap has no part in an alarm

// `count` of the runs, in random order; those after them stay in `pool`.
std::vector<RunSample> take(std::vector<RunSample>& pool, size_t count, Rng& rng) {
  for (size_t i = 0; i < count; ++i) std::swap(pool[i], pool[i + rng.below(pool.size() - i)]);
  const auto end = pool.begin() + static_cast<ptrdiff_t>(count);
  std::vector<RunSample> out(pool.begin(), end);
  pool.erase(pool.begin(), end);
  return out;
}

// Every time longer and every rate lower by `share`, as a slower server would have it.
void slow_down(std::vector<RunSample>& samples, double share) {
  for (RunSample& sample : samples)
    for (auto& [name, value] : sample.figures) {
      const GateMetric* metric = find_gate_metric(name);
      if (metric == nullptr || metric->is_share) continue;
      value = metric->better == Better::kLower ? value * (1 + share) : value / (1 + share);
    }
}

struct Count {
  int regressed = 0, noisy = 0;
  void add(GateVerdict verdict) {
    regressed += verdict == GateVerdict::kRegressed ? 1 : 0;
    noisy += verdict == GateVerdict::kTooNoisy ? 1 : 0;
  }
  std::string text(int splits) const {
    return fmt::format("{} of {} regressed ({:.1f} %), {} too noisy to tell", regressed, splits,
                       100.0 * regressed / splits, noisy);
  }
};

}  // namespace

int gate_noise(const BenchContext& context, const std::vector<std::string>& arguments) {
  GateFlags gate_flags;
  int64_t runs = kRunsDefault, splits = 1000;
  double slowdown = 10;
  std::vector<std::string> candidate_files;
  FlagSet flags(
      "sis gate noise RUN.json ... [flags]",
      "Splits runs of one build at random into baseline and candidate, again and again: how "
      "often would the gate be wrong on this machine? Wants at least twice --runs runs.");
  flags.section("Runs");
  flags.custom({{"candidate"}, {}}, "FILE ...", "",
               "runs of a build that is known to be slower: how often is that found",
               [&](std::string_view text) -> Status {
                 candidate_files.emplace_back(text);
                 return {};
               });
  flags.integer({{"runs"}, {}}, &runs, 2, 1000, "a side");
  flags.integer({{"splits"}, {}}, &splits, 1, 100'000, "to try");
  flags.number({{"slowdown"}, {}}, &slowdown, 0.1, 1000,
               "% that a half is also made slower by, to see whether it is found");
  gate_flags.add_to(flags);
  const auto others =
      flags.parse(with_repeated_flags(arguments, {"--candidate"}), context.environment);
  if (!others.ok()) return gate_complain(context, others.error());
  if (flags.help_wanted()) {
    fmt::print(context.out, "{}", flags.help());
    return kExitOk;
  }
  const auto samples = read_files(*others, gate_flags.scenario);
  if (!samples.ok()) return gate_complain(context, samples.error());
  const auto slower = read_files(candidate_files, gate_flags.scenario);
  if (!slower.ok()) return gate_complain(context, slower.error());
  const auto count = static_cast<size_t>(runs);
  const auto too_few = [&](size_t wanted, size_t found) {
    return gate_complain(
        context,
        Error{Code::kInvalidArgument, fmt::format("want at least {} runs, got {}", wanted, found)});
  };
  if (samples->size() < 2 * count) return too_few(2 * count, samples->size());
  if (!slower->empty() && slower->size() < count) return too_few(count, slower->size());

  GateOptions options = gate_flags.resolved();
  options.draws = kDraws;
  Rng rng(options.seed);
  Count same, made_up, known;
  for (int64_t i = 0; i < splits; ++i) {
    std::vector<RunSample> pool = *samples;
    const std::vector<RunSample> baseline = take(pool, count, rng);
    std::vector<RunSample> candidate = take(pool, count, rng);
    const auto compare = [&](const std::vector<RunSample>& other, Count& to) -> Status {
      SIS_ASSIGN(const GateReport report, compare_runs(baseline, other, options));
      to.add(report.verdict);
      return {};
    };
    Status done = compare(candidate, same);
    slow_down(candidate, slowdown / 100);
    if (done.ok()) done = compare(candidate, made_up);
    if (done.ok() && !slower->empty()) {
      std::vector<RunSample> others_pool = *slower;
      done = compare(take(others_pool, count, rng), known);
    }
    if (!done.ok()) return gate_complain(context, done.error());
  }
  const int n = static_cast<int>(splits);
  fmt::print(context.out, "{} runs, {} a side, seed {}\n", samples->size(), count, options.seed);
  for (const GateMetric& metric : gate_metrics()) {
    std::vector<double> logs;
    for (const RunSample& sample : *samples)
      if (const auto found = sample.figures.find(metric.name);
          found != sample.figures.end() && found->second > 0 && !metric.is_share)
        logs.push_back(std::log(found->second));
    if (logs.size() < 2) continue;
    const double middle = median(logs);
    for (double& value : logs) value = std::fabs(value - middle);
    fmt::print(context.out,
               "{:<14} median {:.4g} {}, runs differ by {:.1f} % (robust), at most {:.1f} %\n",
               metric.shown, std::exp(middle), metric.unit, 148.26 * median(logs),
               100 * *std::max_element(logs.begin(), logs.end()));
  }
  fmt::print(context.out, "no change:     {}\n", same.text(n));
  fmt::print(context.out, "made {:g} % slower: {}\n", slowdown, made_up.text(n));
  if (!slower->empty()) fmt::print(context.out, "--candidate:   {}\n", known.text(n));
  return kExitOk;
}

}  // namespace sis::perf
