#include "perf/report/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/strings.h"
#include "perf/report/engine_json.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

constexpr double kSaturatedShare = 0.95;  // of a core, by the generator's busiest thread
constexpr double kLateMs = 1.0;           // p99 of the generator's own send delay
constexpr double kRateReached = 0.98;
constexpr double kWaitShare = 0.05;  // of the time, ready to run but without a core

bool on_this_machine(const std::string& peer) {
  return peer.starts_with("127.") || peer.starts_with("[::1]") || peer.starts_with("::1");
}

// "; what may help: --spin (...), more --threads (...)": what the figures of a generator that was
// the limit speak for. Nothing where nothing does.
std::string remedies(const RunOptions& options, const RunResult& result, bool late) {
  const Tally& tally = result.tally;
  const bool busy = tally.cpu_share_max >= kSaturatedShare;
  const bool core_to_spare = result.cores == 0 || result.threads < result.cores;
  const double thread_s = tally.wall_s() * std::max(1, result.threads);
  const double wait_share = thread_s > 0 ? tally.cpu_wait_s / thread_s : 0;
  std::vector<std::string> out;
  // A thread that never sleeps takes a whole core, which a server beside it may need more.
  if (late && !options.spin && (core_to_spare || !on_this_machine(result.peer)))
    out.emplace_back("--spin (it need not be woken for each send)");
  if (busy && core_to_spare && result.threads < options.connections)
    out.push_back(result.cores == 0 ? std::string("more --threads")
                                    : fmt::format("more --threads (now {}; there are {} cores)",
                                                  result.threads, result.cores));
  else if (busy && !core_to_spare)
    out.emplace_back("a machine with more cores, or several generators");
  if (wait_share >= kWaitShare)
    out.push_back(fmt::format(
        "cores that nothing else uses (it waited for one {:.0f} % of the time)", wait_share * 100));
  return out.empty() ? std::string() : concat("; what may help: ", join_list(out));
}

}  // namespace

const char* verdict_name(VerdictKind kind) {
  switch (kind) {
    case VerdictKind::kValid:
      return "valid";
    case VerdictKind::kGeneratorSaturated:
      return "generator saturated";
    case VerdictKind::kServerSaturated:
      return "server saturated";
    case VerdictKind::kIncomplete:
      return "incomplete";
    case VerdictKind::kFailed:
      return "failed";
  }
  return "unknown";
}

Verdict judge_run(const RunOptions& options, const RunResult& result) {
  const Tally& tally = result.tally;
  if (tally.gave_up)
    return {VerdictKind::kIncomplete,
            fmt::format("the server could not be reached any more; {} requests not sent",
                        with_commas(tally.unsent))};
  if (tally.interrupted)
    return {VerdictKind::kIncomplete, fmt::format("interrupted; {} requests in flight were dropped",
                                                  with_commas(tally.abandoned))};
  if (tally.ok == 0) return {VerdictKind::kFailed, "no request was answered well"};
  const double cpu = tally.cpu_share_max * 100;
  const double late_p99 = tally.late.quantile_ms(0.99);
  if (options.is_open()) {
    // The generator is at fault when it was late although a connection was free.
    if (late_p99 > kLateMs)
      return {VerdictKind::kGeneratorSaturated,
              fmt::format("its own sends were late: p99 {} ms, max {} ms, CPU {:.0f} %{}",
                          short_number(late_p99), short_number(tally.late.max_ms()), cpu,
                          remedies(options, result, /*late=*/true))};
    // Those that still waited at the end count as well: they would hide a stall at the end.
    Histogram waited = tally.waited;
    waited.merge(tally.unsent_waited);
    const double waited_p99 = waited.quantile_ms(0.99);
    const double due = static_cast<double>(tally.sent + tally.unsent);
    if (tally.unsent > 0 && static_cast<double>(tally.sent) < kRateReached * due)
      return {VerdictKind::kServerSaturated,
              fmt::format("{} of {} due requests were never sent: all {} connections were busy{}",
                          with_commas(tally.unsent), with_commas(tally.sent + tally.unsent),
                          options.connections,
                          tally.unsent_waited.empty()
                              ? std::string()
                              : fmt::format(", and they had waited up to {} ms",
                                            short_number(tally.unsent_waited.max_ms())))};
    if (waited_p99 > std::max(kLateMs, tally.service.quantile_ms(0.5)))
      return {
          VerdictKind::kServerSaturated,
          fmt::format("requests waited for a free connection: p99 {} ms; the server is too slow "
                      "for {} or {} connections are too few",
                      short_number(waited_p99), rate_text(options), options.connections)};
    return {VerdictKind::kValid,
            fmt::format("sends on time: p99 {} ms late, generator CPU {:.0f} %",
                        short_number(late_p99), cpu)};
  }
  if (options.think_max > Duration{} && late_p99 > kLateMs)
    return {VerdictKind::kGeneratorSaturated,
            fmt::format("it sent late after think times: p99 {} ms, max {} ms, CPU {:.0f} %{}",
                        short_number(late_p99), short_number(tally.late.max_ms()), cpu,
                        remedies(options, result, /*late=*/true))};
  if (tally.cpu_share_max >= kSaturatedShare)
    return {VerdictKind::kGeneratorSaturated,
            fmt::format("its busiest thread used or waited for a core {:.0f} % of the time: the "
                        "server may be faster{}",
                        cpu, remedies(options, result, /*late=*/false))};
  return {VerdictKind::kValid, fmt::format("generator CPU {:.0f} % of a core", cpu)};
}

}  // namespace sis::perf
