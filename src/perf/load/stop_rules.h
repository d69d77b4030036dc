// When a run has shown enough: rules on its windows, pure.
//
//   stable(10%,3)         as perf_analyzer: over the last 3 windows the highest throughput is at
//   most
//                         1.1 times the lowest, and so is the latency; the result is those windows.
//                         More, in any order: p99 (that percentile instead of the mean latency),
//                         count=50 (windows are joined until they hold so many requests)
//   ci(mean,5%)           the mean latency's 95 % confidence interval reaches at most 5 % of it to
//                         either side; also ci(p99,5%), and another confidence: ci(p99,5%,99%)
//   bound(p99<500ms)      "99 % of the requests take less than 500 ms" is proved or disproved at 95
//   %
//                         confidence; another confidence: bound(p99<500ms,99%)
//   max=20 in any of them: after so many windows the rule gives up and ends the run
//
// Time and count are the run's own limits.
//
// The interval comes from batch means: windows are joined to 10 to 39 batches of equal length,
// whose means (or percentiles) are taken as independent: half width = t(b - 1) * s / sqrt(b) (Law,
// Simulation Modeling and Analysis, 9.5.3). Batches of less than 10 / (1 - q) answers say nothing
// of quantile q; then the run goes on.
//
// The bound asks how likely so few, or so many, requests over X would be if their true share were
// exactly the claimed one: the exact binomial tail (Clopper and Pearson, Biometrika 26, 1934), half
// of the doubt on each side. It takes requests as independent. Who looks again and again finds
// something by chance in the end; so look number k may only spend doubt / (k * (k + 1)), which adds
// up to the doubt over any number of looks, and there is no look before a tenth more requests are
// done. Failed requests count as over X.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "perf/load/run.h"

namespace sis::perf {

enum class StopKind : uint8_t { kStable, kInterval, kBound };

struct StopRule {
  StopKind kind = StopKind::kStable;
  // Of latency: a quantile in 0..1, or the mean where none.
  std::optional<double> quantile;
  double tolerance = 0.1;        // stable, ci: 0.1 = 10 %
  int windows = 3;               // stable: the last so many
  uint64_t window_requests = 0;  // stable: windows are joined until they hold so many
  double limit_ms = 0;           // bound
  double confidence = 0.95;      // ci, bound
  // After so many windows the rule gives up and ends the run; 0: never.
  int windows_max = 0;

  std::string text() const;  // as parse() takes it
};

// The grammar above; the message of an error says what a rule may look like.
Result<StopRule> parse_stop_rule(std::string_view text);

struct StopState {
  bool stop = false;
  bool met = false;    // stop without: the rule gave up
  std::string detail;  // what it saw last, for people
};

// Watches one run.
class StopWatch {
 public:
  explicit StopWatch(StopRule rule) : rule_(std::move(rule)) {}

  // Windows shorter than 9/10 of the first do not count: they are the rest at a run's end.
  StopState note(const Window& window);
  const StopState& state() const { return state_; }
  const StopRule& rule() const { return rule_; }
  // stable: the merge of the windows that were stable in the end (the last ones when none were);
  // empty for the other rules, whose result is the whole run.
  std::optional<Window> result() const;

 private:
  StopState look_stable(const Window& window);
  StopState look_interval(const Window& window);
  StopState look_bound(const Window& window);

  StopRule rule_;
  StopState state_;
  int seen_ = 0;
  double length_s_ = 0;             // of the first window
  std::optional<Window> joining_;   // stable: not yet window_requests
  std::deque<Window> last_;         // stable
  std::vector<Histogram> batches_;  // ci: latencies of neighbouring windows
  int batch_windows_ = 1, in_last_batch_ = 0;
  uint64_t requests_ = 0, over_ = 0, looked_at_ = 0;  // bound
  int looks_ = 0;
};

// run_load() with a rule (null: none) beside options.on_window: fills in the result's stop_rule
// and, where stable() was met, its tallies with those of the stable windows; connections, requests
// never sent, errors and the generator's CPU time stay those of the whole run.
Result<RunResult> run_until(const StopRule* rule, RunOptions options, const Workload& workload,
                            const std::atomic<bool>* stop,
                            const std::function<void(const Progress&)>& show);

// Adds `next`, which follows `window`, to it.
void join_windows(Window& window, const Window& next);

// P(X <= k) of a binomial distribution with n trials of probability p, 0 < p < 1.
double binomial_cdf(uint64_t k, uint64_t n, double p);
// P(X >= k).
double binomial_tail(uint64_t k, uint64_t n, double p);
// Quantile of Student's distribution: P(T <= value) = p, degrees of freedom >= 1.
double student_quantile(double p, int degrees);

}  // namespace sis::perf
