#include "perf/triton/level.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "base/file.h"
#include "base/strings.h"
#include "base/thread_team.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

constexpr double kWindowStretch = 1.2;    // perf_analyzer sleeps so much longer
constexpr double kLookEveryS = 1;         // at count windows
constexpr double kSliceS = 0.1;           // of the engine's windows; ours are made of them
constexpr double kTimeoutS = 300;         // of one request; perf_analyzer has none
constexpr size_t kTraceMax = 10'000'000;  // due times
constexpr uintmax_t kIntervalsBytesMax = 64 << 20;
constexpr int kRateConnectionsMax = 512;

// Follows one level's windows as they end.
class LevelMeter {
 public:
  LevelMeter(const LevelContext& context, PerfLevel& level, LevelFailure& failure)
      : context_(context), settings_(context.settings), level_(level), failure_(failure) {}

  bool begin() {
    if (settings_.collect_metrics) {
      const auto url = net::parse_url(settings_.metrics_url);
      if (!url.ok()) return fail(url.error());
      auto watch = GpuWatch::start(
          *url, from_ms(static_cast<double>(settings_.metrics_interval_ms)), settings_.verify_tls);
      if (!watch.ok()) return fail(watch.error());
      gpu_ = std::move(*watch);
    }
    return read_statistics(before_);
  }

  // Engine windows are slices of ours. False: the level is done.
  bool on_slice(const Window& slice, double window_s) {
    if (done_) return false;
    now_.tally.merge(slice.total);
    now_.length_s += slice.length_s;
    if (slice.total.failed > 0 && !settings_.keep_going) return stop();
    if (now_.length_s < window_s - 1e-6) return true;
    if (settings_.count_windows &&
        ended(now_.tally) < static_cast<uint64_t>(settings_.window_requests)) {
      looked_s_ += kLookEveryS;
      return true;
    }
    return end_window() || stop();
  }

  // With --request-count everything is one window.
  bool end_all(const RunResult& run) {
    now_.tally = run.tally;
    now_.length_s = run.tally.wall_s();
    if (!finish_window()) return false;
    if (ended(last_.back().tally) == 0) return fail_empty();
    level_.stable = true;
    return true;
  }

  bool failed() const { return failed_; }
  double next_look_s() const { return looked_s_; }
  const std::deque<Measured>& last() const { return last_; }
  bool empty_among_last() const {
    return std::any_of(last_.begin(), last_.end(),
                       [](const Measured& one) { return ended(one.tally) == 0; });
  }
  const Status& window_status() const { return window_status_; }
  std::span<const WindowFigures> figures() const { return figures_; }

  bool fail(const Error& error, int exit_code = kPerfFailed) {
    failure_ = {error, exit_code};
    failed_ = true;
    return false;
  }
  bool fail_empty() {
    return fail(Error{Code::kDeadline,
                      "no request ended within a window; want a longer --measurement-interval"},
                kPerfEmptyWindow);
  }

 private:
  static uint64_t ended(const Tally& tally) { return tally.ok + tally.failed; }
  bool stop() {
    done_ = true;
    return false;
  }

  bool read_statistics(StatsPage& page) {
    if (context_.model == nullptr || !context_.model->statistics) return true;
    auto fetched = fetch_statistics(settings_, *context_.model);
    if (!fetched.ok()) return fail(fetched.error());
    page = std::move(*fetched);
    return true;
  }

  // The window's figures are complete: statistics, GPU. False when the run cannot go on.
  bool finish_window() {
    looked_s_ = 0;
    window_status_ = {};
    if (context_.on_boundary) context_.on_boundary(std::chrono::steady_clock::now());
    StatsPage after;
    if (!read_statistics(after)) return false;
    if (context_.model != nullptr && context_.model->statistics) {
      auto stats = summarize_statistics(*context_.model, before_, after, level_.warning);
      if (stats.ok())
        now_.server = std::move(*stats);
      else
        window_status_ = stats.error();
      before_ = std::move(after);
    }
    if (gpu_ != nullptr) {
      auto metrics = gpu_->take();
      if (!metrics.ok()) return fail(metrics.error());
      now_.gpu = std::move(*metrics);
    }
    const bool usable = ended(now_.tally) > 0 && window_status_.ok();
    const double per_s = static_cast<double>(now_.tally.ok) * static_cast<double>(settings_.batch) /
                         std::max(now_.length_s, 1e-9);
    const Histogram& latency = send_latency(now_.tally);
    figures_.push_back({.per_s = usable ? per_s : 0,
                        .latency_ms = settings_.percentile < 0
                                          ? latency.mean_ms()
                                          : indexed_percentile_ms(latency, settings_.percentile)});
    ++level_.windows;
    if (context_.pass) context_.pass(pass_text(latency));
    last_.push_back(std::move(now_));
    now_ = Measured{};
    if (last_.size() > kStableWindows) last_.pop_front();
    return true;
  }

  // True: measure on.
  bool end_window() {
    if (!finish_window()) return false;
    level_.stable = is_stable(figures_, settings_.stability, true);
    level_.over_limit = is_over(figures_, static_cast<double>(settings_.latency_limit_ms));
    return !level_.stable && !level_.over_limit && level_.windows < settings_.trials_max;
  }

  std::string pass_text(const Histogram& latency) const {
    const WindowFigures& now = figures_.back();
    if (now.per_s == 0)
      return fmt::format("  Pass [{}] {}\n", level_.windows,
                         window_status_.ok() ? std::string("no request ended within the window")
                                             : window_status_.error().message);
    if (settings_.percentile >= 0)
      return fmt::format("  Pass [{}] throughput: {:g} infer/sec. p{} latency: {} usec\n",
                         level_.windows, now.per_s, settings_.percentile,
                         static_cast<int64_t>(now.latency_ms * 1e3));
    return fmt::format(
        "  Pass [{}] throughput: {:g} infer/sec. Avg latency: {} usec (std {} usec). \n",
        level_.windows, now.per_s, static_cast<int64_t>(now.latency_ms * 1e3),
        static_cast<int64_t>(latency.stdev_ms() * 1e3));
  }

  const LevelContext& context_;
  const PerfSettings& settings_;
  PerfLevel& level_;
  LevelFailure& failure_;
  std::unique_ptr<GpuWatch> gpu_;
  StatsPage before_;
  Measured now_;
  std::deque<Measured> last_;
  std::vector<WindowFigures> figures_;
  Status window_status_;
  double looked_s_ = 0;  // count windows: looked at so far
  bool done_ = false, failed_ = false;
};

// Loops of the generator: perf_analyzer's threads are ours only as far as there are cores.
int loops_of(const PerfSettings& settings, int connections) {
  const auto wanted = static_cast<int>(std::min<int64_t>(settings.max_threads, available_cores()));
  return std::clamp(wanted, 1, connections);
}

RunOptions run_options(const PerfSettings& settings, double value) {
  RunOptions options{.url = settings.url, .verify_tls = settings.verify_tls};
  options.timeout = from_seconds(kTimeoutS);
  options.requests = static_cast<uint64_t>(settings.request_count);
  options.seed = static_cast<uint64_t>(settings.seed);
  if (settings.mode == LoadMode::kConcurrency) {
    options.connections = static_cast<int>(value);
  } else {
    // A connection per request in flight; perf_analyzer's synchronous mode has as many as threads.
    options.connections =
        !settings.async && settings.max_threads > 0
            ? static_cast<int>(settings.max_threads)
            : std::clamp(static_cast<int>(std::ceil(value)), 16, kRateConnectionsMax);
    options.rate = value;
    options.arrivals = settings.poisson ? Arrivals::kPoisson : Arrivals::kConstant;
  }
  options.threads = loops_of(settings, options.connections);
  return options;
}

double window_seconds(const PerfSettings& settings) {
  return settings.count_windows ? kLookEveryS
                                : static_cast<double>(settings.interval_ms) * 1e-3 * kWindowStretch;
}

std::string first_error(const Tally& tally) {
  return tally.errors.empty() ? std::string("a request failed") : tally.errors.front().message;
}

bool warm_up(const LevelContext& context, const RunOptions& measured, LevelMeter& meter) {
  if (context.settings.warmup_requests == 0) return true;
  RunOptions options = measured;
  options.requests = static_cast<uint64_t>(context.settings.warmup_requests);
  options.trace = nullptr;
  options.window = Duration{};
  const auto run = run_load(options, context.warm_up, context.stop, {});
  if (!run.ok()) return meter.fail(run.error());
  if (run->tally.failed > 0 && !context.settings.keep_going)
    return meter.fail(
        Error{Code::kUnavailable, concat("warm-up: a request failed: ", first_error(run->tally))});
  return true;
}

}  // namespace

void Measured::merge(const Measured& other) {
  tally.merge(other.tally);
  length_s += other.length_s;
  server.add(other.server);
  gpu.add(other.gpu);
}

const Histogram& send_latency(const Tally& tally) {
  return tally.service.empty() ? tally.latency : tally.service;
}

bool measure_level(const LevelContext& context, double value, PerfLevel& level,
                   LevelFailure& failure) {
  const PerfSettings& settings = context.settings;
  level = PerfLevel{.value = value};
  LevelMeter meter(context, level, failure);
  level.options = run_options(settings, value);
  RunOptions& options = level.options;
  const double window_s = window_seconds(settings);
  if (settings.mode == LoadMode::kIntervals) {
    const double longest_s =
        settings.request_count > 0
            ? static_cast<double>(settings.request_count) / std::max(value, 1e-6) * 2 + 60
            : window_s * static_cast<double>(settings.trials_max + 1) *
                      (settings.count_windows ? 60 : 1) +
                  10;
    double per_s = 0;
    auto trace =
        read_intervals(settings.intervals_file, from_seconds(std::min(longest_s, 1e6)), per_s);
    if (!trace.ok()) return meter.fail(trace.error());
    options.trace = std::move(*trace);
    options.rate = 0;
  }
  if (!warm_up(context, options, meter)) return false;
  if (context.on_boundary) context.on_boundary(std::chrono::steady_clock::now());
  if (!meter.begin()) return false;

  // Thin slices, so that the statistics are read close to the window's end.
  const double slices = std::ceil(window_s / kSliceS);
  options.window = from_seconds(window_s / slices);
  double reached_s = window_s;
  if (settings.request_count == 0)
    options.on_window = [&](const Window& slice) {
      reached_s = window_s + meter.next_look_s();
      return meter.on_slice(slice, reached_s);
    };
  auto run = run_load(options, context.workload, context.stop, {});
  options.on_window = nullptr;
  if (!run.ok()) return meter.fail(run.error());
  level.run = std::move(*run);
  if (meter.failed()) return false;
  const Tally& all = level.run.tally;
  if (context.stop != nullptr && context.stop->load())
    return meter.fail(Error{Code::kCancelled, "interrupted"});
  if (all.failed > 0 && !settings.keep_going)
    return meter.fail(
        Error{Code::kUnavailable,
              concat("a request failed, which ends the measurement (--keep-going counts them "
                     "instead): ",
                     first_error(all))});
  if (all.gave_up)
    return meter.fail(Error{Code::kUnavailable, "the server could not be reached any more"});
  if (settings.request_count > 0 && !meter.end_all(level.run)) return false;

  // As perf_analyzer in asynchronous mode: a throughput that is stable will do.
  if (!level.stable && !level.over_limit && settings.async &&
      is_stable(meter.figures(), settings.stability, false)) {
    if (context.warn)
      context.warn("the latency is not stable, the throughput is; a lower request rate may help");
    level.stable = true;
  }
  if (!level.stable && !level.over_limit) {
    if (meter.empty_among_last()) return meter.fail_empty();
    if (!meter.window_status().ok()) return meter.fail(meter.window_status().error());
    return true;
  }
  for (const Measured& window : meter.last()) level.measured.merge(window);
  const Tally& tally = level.measured.tally;
  level.per_s = static_cast<double>(tally.ok) * static_cast<double>(settings.batch) /
                std::max(level.measured.length_s, 1e-9);
  const Histogram& latency = send_latency(tally);
  level.latency_ms = settings.percentile < 0 ? latency.mean_ms()
                                             : indexed_percentile_ms(latency, settings.percentile);
  // The limit holds for the merged figure, as perf_analyzer has it.
  level.over_limit |= settings.latency_limit_ms > 0 &&
                      level.latency_ms >= static_cast<double>(settings.latency_limit_ms);
  level.saturated = judge_run(options, level.run).kind == VerdictKind::kGeneratorSaturated;
  return true;
}

Result<std::shared_ptr<const TraceTimes>> read_intervals(const std::string& path, Duration length,
                                                         double& per_s) {
  SIS_ASSIGN(const std::string text, read_file(path, kIntervalsBytesMax));
  std::vector<Duration> gaps;
  Duration total{};
  size_t number = 0;
  for (const auto& line : split(text, '\n')) {
    ++number;
    if (trim(line).empty()) continue;
    const auto us = parse_int(trim(line));
    if (!us || *us < 0 || *us > 86'400'000'000)
      return Error{
          Code::kInvalidArgument,
          concat(path, ": line ", number, ": want whole microseconds, found ", in_quotes(line))};
    gaps.push_back(std::chrono::microseconds(*us));
    total += gaps.back();
  }
  if (gaps.empty() || total <= Duration{})
    return Error{Code::kInvalidArgument, concat(path,
                                                ": want gaps between requests in us, one per "
                                                "line, not all 0")};
  per_s = static_cast<double>(gaps.size()) / to_seconds(total);
  auto times = std::make_shared<TraceTimes>();
  Duration at{};
  for (size_t i = 0; at < length && times->size() < kTraceMax; ++i) {
    at += gaps[i % gaps.size()];
    times->push_back(at);
  }
  return std::shared_ptr<const TraceTimes>(std::move(times));
}

}  // namespace sis::perf
