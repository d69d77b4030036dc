#include "perf/report/conclusion.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/strings.h"
#include "perf/report/run_words.h"
#include "perf/report/server_times.h"
#include "perf/report/summary.h"
#include "perf/report/terminal.h"

namespace sis::perf {
namespace {

constexpr double kLongTail = 5;         // p99 over p50
constexpr double kDrift = 1.25;         // last third of a run over its first third
constexpr double kHiddenByTools = 1.5;  // p99 from the intended send over p99 from the actual one
constexpr double kWorthIt = 1.10;       // throughput of a level over that of the level before
constexpr size_t kWindowsForDrift = 9;

std::string ms(double value) { return concat(short_number(value), " ms"); }

std::string failure_sentence(const RunData& run) {
  std::string out = fmt::format("{} of {} requests failed ({} %)", with_commas(run.failures),
                                with_commas(run.requests), short_number(100 * run.failed_share()));
  const auto most =
      std::max_element(run.error_counts.begin(), run.error_counts.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most != run.error_counts.end())
    out += concat(", most often with: ", cut_to(printable(most->first), 160, true));
  return out + ". The latencies are those of the good answers only.";
}

std::string verdict_sentence(const RunData& run) {
  const std::string reason = run.verdict_reason.empty() ? "" : concat(": ", run.verdict_reason);
  if (run.verdict == "generator saturated")
    return concat("The figures show the limit of the load generator, not of the server", reason,
                  ".");
  if (run.verdict == "server saturated")
    return concat("The server could not take the wanted load", reason, ".");
  if (run.verdict == "incomplete")
    return concat("The run was cut short, so its figures are partial", reason, ".");
  if (run.verdict == "failed") return concat("The run failed", reason, ".");
  return {};
}

// Weighted mean of the windows' p50, or of their means where there are no percentiles.
std::optional<double> typical_ms(const RunData& run, size_t begin, size_t end) {
  double sum = 0, weight = 0;
  for (size_t i = begin; i < end; ++i) {
    const WindowData& window = run.windows[i];
    const auto value = window.p50_ms ? window.p50_ms : window.mean_ms;
    if (!value) continue;
    const auto n =
        static_cast<double>(window.requests - std::min(window.failures, window.requests));
    sum += *value * n;
    weight += n;
  }
  return weight > 0 ? std::optional<double>(sum / weight) : std::nullopt;
}

std::string drift_sentence(const RunData& run) {
  const size_t n = run.windows.size();
  if (n < kWindowsForDrift || run.duration_wanted_s == 0) return {};
  const auto first = typical_ms(run, 0, n / 3), last = typical_ms(run, n - n / 3, n);
  if (!first || !last || *first <= 0 || *last <= 0) return {};
  if (*last > *first * kDrift)
    return fmt::format(
        "Latency rose during the run, typically from {} in its first third to {} in its last: a "
        "queue, a cache or memory is filling up, and a longer run would show more.",
        ms(*first), ms(*last));
  if (*first > *last * kDrift)
    return fmt::format(
        "Latency fell during the run, typically from {} in its first third to {} in its last: "
        "warm-up was too short.",
        ms(*first), ms(*last));
  return {};
}

std::string parts_sentence(const RunData& run) {
  if (run.parts.size() < 2) return {};
  const PartData *slowest = nullptr, *worst = nullptr;
  for (const PartData& part : run.parts) {
    if (!part.latency.empty() &&
        (slowest == nullptr || part.latency.quantile_ms(0.99).value_or(0) >
                                   slowest->latency.quantile_ms(0.99).value_or(0)))
      slowest = &part;
    if (part.failures > 0 && (worst == nullptr || part.failures > worst->failures)) worst = &part;
  }
  std::string out;
  if (slowest != nullptr)
    out = fmt::format("Slowest part: {} with p99 {}.", slowest->name,
                      ms(slowest->latency.quantile_ms(0.99).value_or(0)));
  if (worst != nullptr)
    out += fmt::format("{}Most failures: {} with {}.", out.empty() ? "" : " ", worst->name,
                       with_commas(worst->failures));
  return out;
}

std::string server_sentence(const RunData& run) {
  const auto share = server_share(run);
  if (share.size() < 2) return {};
  const double total =
      std::accumulate(share.begin(), share.end(), 0.0,
                      [](double sum, const auto& part) { return sum + part.second; });
  const auto most = std::max_element(
      share.begin(), share.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (!(total > 0)) return {};
  const bool outside = most->first == "network and rest";
  return fmt::format("Most of the time goes to {}: {} of {} on average ({:.0f} %), {}.",
                     outside ? "the network and what the server does not count" : most->first,
                     ms(most->second), ms(total), 100 * most->second / total,
                     outside ? "beyond what the server tells" : "as the server tells");
}

}  // namespace

std::vector<std::string> run_conclusions(const RunData& run) {
  std::vector<std::string> out;
  const auto say = [&](std::string sentence) {
    if (!sentence.empty()) out.push_back(std::move(sentence));
  };
  say(verdict_sentence(run));
  if (!run.thresholds.empty()) {
    std::string missed;
    for (const ThresholdData& threshold : run.thresholds)
      if (!threshold.ok)
        missed += fmt::format(
            "{}{} {}{}", missed.empty() ? "" : ", ", threshold.metric, threshold.threshold,
            threshold.value ? concat(" (was ", short_number(*threshold.value), ")")
                            : std::string());
    say(missed.empty() ? fmt::format("All {} thresholds are met.", run.thresholds.size())
                       : concat("Thresholds not met: ", missed, "."));
  }
  if (run.failures > 0)
    say(failure_sentence(run));
  else if (run.requests > 0)
    say(fmt::format("All {} requests were answered well.", with_commas(run.requests)));
  const auto p50 = run.latency.quantile_ms(0.5), p99 = run.latency.quantile_ms(0.99);
  if (p50 && p99) {
    say(fmt::format(
        "{} requests/s; half of them took at most {}, 99 of 100 at most {}, the slowest {}.",
        short_number(run.requests_per_s), ms(*p50), ms(*p99), ms(run.latency.max_ms)));
    if (run.latency.count >= 100 && *p99 > kLongTail * *p50)
      say(
          fmt::format("The tail is long: p99 is {} times p50. Look for queueing, pauses, or a part "
                      "that is much slower than the others.",
                      short_number(*p99 / *p50)));
    if (const auto due_p99 = run.latency_all_due.quantile_ms(0.99))
      say(
          fmt::format("{} more requests were due and never sent. With what they had waited at the "
                      "end, p99 of all is at least {}.",
                      with_commas(run.unsent_waited.count), ms(*due_p99)));
    const auto service_p99 = run.service.quantile_ms(0.99);
    if (service_p99 && *service_p99 > 0 && *p99 > kHiddenByTools * *service_p99)
      say(fmt::format(
          "Counted from the actual send, p99 would look like {}: requests that waited for "
          "the server to catch up would be left out.",
          ms(*service_p99)));
  }
  if (run.goodput_share)
    say(fmt::format("{:.1f} % of the requests kept their limits ({} good requests/s).",
                    100 * *run.goodput_share, short_number(run.goodput_per_s.value_or(0))));
  if (run.stable && !*run.stable)
    say("The figures were still moving at the end: repeat with a longer run before relying on "
        "them.");
  say(drift_sentence(run));
  say(parts_sentence(run));
  say(server_sentence(run));
  if (out.empty()) out.emplace_back("Nothing was measured.");
  return out;
}

std::vector<size_t> runs_by_level(const Report& report) {
  std::vector<size_t> order(report.runs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (report.is_sweep())
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return report.runs[a].level().value_or(0) < report.runs[b].level().value_or(0);
    });
  return order;
}

size_t knee_of(const Report& report) {
  const std::vector<size_t> order = runs_by_level(report);
  size_t knee = order.front();
  for (const size_t i : order) {
    if (report.runs[i].requests_per_s < kWorthIt * report.runs[knee].requests_per_s) continue;
    knee = i;
  }
  return knee;
}

std::vector<std::string> sweep_conclusions(const Report& report) {
  if (!report.is_sweep()) return {};
  const std::vector<size_t> order = runs_by_level(report);
  const RunData& best = *std::max_element(
      report.runs.begin(), report.runs.end(),
      [](const RunData& a, const RunData& b) { return a.requests_per_s < b.requests_per_s; });
  const RunData &knee = report.runs[knee_of(report)], &last = report.runs[order.back()];
  const bool users = knee.level_concurrency.has_value();
  const auto at = [&](const RunData& run) {
    return users ? concat("concurrency ", count_text(run.level().value_or(0)))
                 : concat(count_text(run.level().value_or(0)), " requests/s");
  };
  const auto p99 = [](const RunData& run) {
    return ms(run.latency_to_judge().quantile_ms(0.99).value_or(0));
  };
  std::vector<std::string> out;
  out.push_back(fmt::format("Highest throughput: {} requests/s at {}, with p99 {}.",
                            short_number(best.requests_per_s), at(best), p99(best)));
  if (&knee != &last)
    out.push_back(
        fmt::format("Beyond {} ({} requests/s, p99 {}) more load buys less than 10 % more "
                    "throughput; at {} p99 is {}.",
                    at(knee), short_number(knee.requests_per_s), p99(knee), at(last), p99(last)));
  else
    out.push_back(
        fmt::format("Throughput was still growing at {}: the limit is higher.", at(last)));
  return out;
}

}  // namespace sis::perf
