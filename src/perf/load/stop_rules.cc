#include "perf/load/stop_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

constexpr size_t kBatchesMin = 10, kBatchesMax = 40;
constexpr double kWholeWindow = 0.9;  // of the first one's length

Error want(std::string_view got) {
  return Error{Code::kInvalidArgument,
               concat("want stable(10%,3), ci(p99,5%) or bound(p99<500ms), got ", in_quotes(got))};
}

// "10%" or "0.1".
std::optional<double> parse_share(std::string_view text) {
  const bool percent = text.ends_with('%');
  if (percent) text.remove_suffix(1);
  const auto value = parse_double(trim(text));
  if (!value) return std::nullopt;
  return percent ? *value / 100 : *value;
}

// "p99", "p99.9", "p(99)".
std::optional<double> parse_quantile(std::string_view text) {
  if (!text.starts_with('p')) return std::nullopt;
  text.remove_prefix(1);
  if (text.starts_with('(') && text.ends_with(')')) text = text.substr(1, text.size() - 2);
  const auto value = parse_double(text);
  if (!value || *value <= 0 || *value >= 100) return std::nullopt;
  return *value / 100;
}

// "500", "500ms", "0.5s", "80us"; a bare number is milliseconds, as in thresholds.
std::optional<double> parse_ms(std::string_view text) {
  double scale = 1;
  if (text.ends_with("ms"))
    text.remove_suffix(2);
  else if (text.ends_with("us"))
    scale = 1e-3, text.remove_suffix(2);
  else if (text.ends_with("s"))
    scale = 1e3, text.remove_suffix(1);
  const auto value = parse_double(trim(text));
  if (!value) return std::nullopt;
  return *value * scale;
}

std::string value_name(const StopRule& rule) {
  return rule.quantile ? fmt::format("p{:g}", *rule.quantile * 100) : "mean";
}

double value_ms(const StopRule& rule, const Histogram& latency) {
  return rule.quantile ? latency.quantile_ms(*rule.quantile) : latency.mean_ms();
}

Status read_argument(StopRule& rule, std::string_view text, bool first) {
  const bool stable = rule.kind == StopKind::kStable, bound = rule.kind == StopKind::kBound;
  if (text.starts_with("max=")) {
    const auto count = parse_int(text.substr(4));
    if (!count || *count < 1 || *count > 1'000'000)
      return Error{Code::kInvalidArgument,
                   concat("max: want a number of windows 1..1000000, got ", in_quotes(text))};
    rule.windows_max = static_cast<int>(*count);
    return {};
  }
  if (stable && text.starts_with("count=")) {
    const auto count = parse_int(text.substr(6));
    if (!count || *count < 1 || *count > 1'000'000'000)
      return Error{Code::kInvalidArgument,
                   concat("count: want a number of requests 1..1000000000, got ", in_quotes(text))};
    rule.window_requests = static_cast<uint64_t>(*count);
    return {};
  }
  if (bound && first) {
    const size_t less = text.find('<');
    const auto quantile = parse_quantile(trim(text.substr(0, std::min(less, text.size()))));
    if (less == std::string_view::npos || !quantile)
      return Error{Code::kInvalidArgument, concat("want p99<500ms, got ", in_quotes(text))};
    const std::string_view limit = trim(text.substr(less + 1));
    const auto limit_ms = parse_ms(limit);
    if (!limit_ms || *limit_ms <= 0 || *limit_ms > 1e8)
      return Error{Code::kInvalidArgument,
                   concat("want a time above 0 after '<', got ", in_quotes(limit))};
    rule.limit_ms = *limit_ms;
    rule.quantile = quantile;
    return {};
  }
  if (!bound && (text == "mean" || text == "avg")) {
    rule.quantile.reset();
    return {};
  }
  if (!bound && text.starts_with('p')) {
    rule.quantile = parse_quantile(text);
    if (!rule.quantile)
      return Error{Code::kInvalidArgument,
                   concat("want a percentile between p0 and p100, got ", in_quotes(text))};
    return {};
  }
  if (const auto count = parse_int(text); stable && count) {
    if (*count < 2 || *count > 100)
      return Error{Code::kInvalidArgument, concat("want 2..100 windows, got ", in_quotes(text))};
    rule.windows = static_cast<int>(*count);
    return {};
  }
  const auto share = parse_share(text);
  if (!share || *share <= 0 || *share > 1)
    return Error{Code::kInvalidArgument, concat("did not understand ", in_quotes(text))};
  return Error{Code::kInternal, ""};  // a share: its meaning depends on its place
}

}  // namespace

std::string StopRule::text() const {
  const std::string more = windows_max > 0 ? concat(",max=", windows_max) : "";
  switch (kind) {
    case StopKind::kStable:
      return fmt::format("stable({:g}%,{}{}{}{})", tolerance * 100, windows,
                         quantile ? "," + value_name(*this) : "",
                         window_requests > 0 ? concat(",count=", window_requests) : "", more);
    case StopKind::kInterval:
      return fmt::format("ci({},{:g}%,{:g}%{})", value_name(*this), tolerance * 100,
                         confidence * 100, more);
    case StopKind::kBound:
      return fmt::format("bound({}<{:g}ms,{:g}%{})", value_name(*this), limit_ms, confidence * 100,
                         more);
  }
  return {};
}

Result<StopRule> parse_stop_rule(std::string_view text) {
  const std::string_view whole = trim(text);
  const size_t open = whole.find('(');
  const std::string_view name = trim(whole.substr(0, std::min(open, whole.size())));
  StopRule rule;
  if (name == "stable")
    rule.kind = StopKind::kStable;
  else if (name == "ci")
    rule.kind = StopKind::kInterval, rule.tolerance = 0.05;
  else if (name == "bound")
    rule.kind = StopKind::kBound;
  else
    return want(text);
  std::vector<std::string> arguments;
  if (open != std::string_view::npos) {
    if (!whole.ends_with(')')) return want(text);
    arguments = split_list(whole.substr(open + 1, whole.size() - open - 2));
  }
  if (arguments.size() > 8) return want(text);
  int shares = 0;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Status status = read_argument(rule, arguments[i], i == 0);
    if (status.ok()) continue;
    if (status.error().code != Code::kInternal) return prefixed(name, status.error());
    const double share = *parse_share(arguments[i]);
    // The tolerance comes first, then the confidence; a bound has no tolerance, stable() no
    // confidence.
    const bool is_tolerance = rule.kind != StopKind::kBound && shares == 0;
    if ((rule.kind == StopKind::kStable && shares > 0) || shares > 1 ||
        (!is_tolerance && share >= 1))
      return prefixed(name, Error{Code::kInvalidArgument,
                                  concat("did not understand ", in_quotes(arguments[i]))});
    (is_tolerance ? rule.tolerance : rule.confidence) = share;
    ++shares;
  }
  if (rule.kind == StopKind::kBound && !rule.quantile)
    return prefixed(name, Error{Code::kInvalidArgument, "want p99<500ms as its first argument"});
  return rule;
}

void join_windows(Window& window, const Window& next) {
  window.length_s += next.length_s;
  window.users = next.users;
  window.total.merge(next.total);
  window.parts.resize(std::max(window.parts.size(), next.parts.size()));
  for (size_t i = 0; i < next.parts.size(); ++i) window.parts[i].merge(next.parts[i]);
}

StopState StopWatch::note(const Window& window) {
  if (length_s_ == 0) length_s_ = window.length_s;
  if (state_.stop || window.length_s < kWholeWindow * length_s_) return state_;
  ++seen_;
  switch (rule_.kind) {
    case StopKind::kStable:
      state_ = look_stable(window);
      break;
    case StopKind::kInterval:
      state_ = look_interval(window);
      break;
    case StopKind::kBound:
      state_ = look_bound(window);
      break;
  }
  if (!state_.stop && rule_.windows_max > 0 && seen_ >= rule_.windows_max) state_.stop = true;
  return state_;
}

StopState StopWatch::look_stable(const Window& window) {
  if (rule_.window_requests > 0) {
    if (joining_)
      join_windows(*joining_, window);
    else
      joining_ = window;
    const Tally& joined = joining_->total;
    if (joined.ok + joined.failed < rule_.window_requests) {
      --seen_;
      return state_;
    }
    last_.push_back(std::move(*joining_));
    joining_.reset();
  } else {
    last_.push_back(window);
  }
  const auto wanted = static_cast<size_t>(rule_.windows);
  if (last_.size() > wanted) last_.pop_front();
  if (last_.size() < wanted)
    return {.detail = fmt::format("{} of {} windows", last_.size(), wanted)};
  double rate_low = INFINITY, rate_high = 0, value_low = INFINITY, value_high = 0;
  for (const Window& entry : last_) {
    const double rate =
        entry.length_s > 0 ? static_cast<double>(entry.total.ok) / entry.length_s : 0;
    const double value = value_ms(rule_, entry.total.latency);
    rate_low = std::min(rate_low, rate);
    rate_high = std::max(rate_high, rate);
    value_low = std::min(value_low, value);
    value_high = std::max(value_high, value);
  }
  StopState state;
  state.detail = fmt::format("last {} windows: {} to {} requests/s, {} latency {} to {} ms", wanted,
                             short_number(rate_low), short_number(rate_high), value_name(rule_),
                             short_number(value_low), short_number(value_high));
  const double most = 1 + rule_.tolerance;
  state.met = rate_low > 0 && rate_high <= most * rate_low && value_high <= most * value_low;
  state.stop = state.met;
  return state;
}

StopState StopWatch::look_interval(const Window& window) {
  if (batches_.empty() || in_last_batch_ == batch_windows_) {
    batches_.emplace_back();
    in_last_batch_ = 0;
  }
  batches_.back().merge(window.total.latency);
  ++in_last_batch_;
  if (in_last_batch_ < batch_windows_) return state_;
  if (batches_.size() == kBatchesMax) {
    for (size_t i = 0; i < kBatchesMax / 2; ++i) {
      if (i > 0) batches_[i] = std::move(batches_[2 * i]);
      batches_[i].merge(batches_[2 * i + 1]);
    }
    batches_.resize(kBatchesMax / 2);
    batch_windows_ *= 2;
    in_last_batch_ = batch_windows_;
  }
  const size_t count = batches_.size();
  if (count < kBatchesMin)
    return {.detail = fmt::format("{} of at least {} batches", count, kBatchesMin)};
  const double least = rule_.quantile ? 10 / (1 - *rule_.quantile) : 1;
  double sum = 0, square_sum = 0;
  for (const Histogram& batch : batches_) {
    if (static_cast<double>(batch.count()) < least)
      return {.detail = fmt::format("batches of {} answers are too small for {}: want {:.0f}",
                                    batch.count(), value_name(rule_), least)};
    const double value = value_ms(rule_, batch);
    sum += value;
    square_sum += value * value;
  }
  const double n = static_cast<double>(count), mean = sum / n;
  const double variance = std::max(0.0, (square_sum - n * mean * mean) / (n - 1));
  const double half =
      student_quantile(1 - (1 - rule_.confidence) / 2, static_cast<int>(count) - 1) *
      std::sqrt(variance / n);
  StopState state;
  state.met = state.stop = mean > 0 && half <= rule_.tolerance * mean;
  state.detail = fmt::format("{} latency {} ms +- {:.2g} % ({} batches)", value_name(rule_),
                             short_number(mean), mean > 0 ? 100 * half / mean : 0, count);
  return state;
}

StopState StopWatch::look_bound(const Window& window) {
  const Tally& tally = window.total;
  requests_ += tally.ok + tally.failed;
  const auto within = static_cast<uint64_t>(std::llround(
      tally.latency.share_within(rule_.limit_ms) * static_cast<double>(tally.latency.count())));
  over_ += tally.failed + (tally.latency.count() - within);
  if (requests_ == 0 || requests_ < looked_at_ + looked_at_ / 10) return state_;
  looked_at_ = requests_;
  ++looks_;
  const double looks = looks_;
  const double doubt = (1 - rule_.confidence) / (looks * (looks + 1));
  const double claimed = 1 - *rule_.quantile;
  const double so_few = binomial_cdf(over_, requests_, claimed);
  const double so_many = binomial_tail(over_, requests_, claimed);
  StopState state;
  const bool proved = so_few <= doubt / 2, disproved = so_many <= doubt / 2;
  state.met = state.stop = proved || disproved;
  state.detail = fmt::format(
      "{} < {} ms is {}: {} of {} requests took longer or failed ({:.3g} %, claimed "
      "less than {:g} %)",
      value_name(rule_), short_number(rule_.limit_ms),
      proved      ? "proved"
      : disproved ? "disproved"
                  : "open",
      with_commas(over_), with_commas(requests_),
      100 * static_cast<double>(over_) / static_cast<double>(requests_), 100 * claimed);
  return state;
}

std::optional<Window> StopWatch::result() const {
  if (rule_.kind != StopKind::kStable || last_.empty()) return std::nullopt;
  Window window = last_.front();
  for (size_t i = 1; i < last_.size(); ++i) join_windows(window, last_[i]);
  return window;
}

Result<RunResult> run_until(const StopRule* rule, RunOptions options, const Workload& workload,
                            const std::atomic<bool>* stop,
                            const std::function<void(const Progress&)>& show) {
  if (rule == nullptr) return run_load(options, workload, stop, show);
  StopWatch watch(*rule);
  const auto others = options.on_window;
  options.on_window = [&](const Window& window) {
    const bool on = !others || others(window);
    return !watch.note(window).stop && on;
  };
  SIS_ASSIGN(RunResult result, run_load(options, workload, stop, show));
  const StopState& state = watch.state();
  result.stop_rule = {.rule = rule->text(), .met = state.met, .detail = state.detail};
  if (rule->kind != StopKind::kStable) return result;
  result.stable = state.met;
  if (!state.met) return result;
  Window window = *watch.result();
  Tally& whole = result.tally;
  Tally& tally = window.total;
  tally.connects = whole.connects;
  tally.connect_failures = whole.connect_failures;
  tally.unsent = whole.unsent;  // known at the end of the run only
  tally.unsent_waited = whole.unsent_waited;
  tally.gave_up = whole.gave_up;
  tally.interrupted = whole.interrupted;
  tally.abandoned = whole.abandoned;
  tally.cpu_s = whole.cpu_s;
  tally.cpu_wait_s = whole.cpu_wait_s;
  tally.cpu_share_max = whole.cpu_share_max;
  tally.http.connecting = whole.http.connecting;
  tally.http.tls_handshaking = whole.http.tls_handshaking;
  tally.errors = whole.errors;
  tally.messages = whole.messages;
  tally.other_messages = whole.other_messages;
  tally.timeline = whole.timeline;
  result.tally = std::move(window.total);
  result.parts = std::move(window.parts);
  return result;
}

}  // namespace sis::perf
