#include "perf/report/html_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "perf/report/conclusion.h"
#include "perf/report/run_words.h"
#include "perf/report/server_times.h"
#include "perf/report/summary.h"
#include "perf/report/svg_chart.h"

namespace sis::perf {
namespace {

constexpr size_t kPointsMax = 400;  // of a line: more cannot be told apart
constexpr double kLogAbove = 30;    // max over p50 from which a latency axis is logarithmic
constexpr int kBars = 40;

const double kNone = std::nan("");

void take_highest(std::optional<double>& a, const std::optional<double>& b) {
  if (b && (!a || *b > *a)) a = b;
}

// Two neighbouring windows as one: rates are averaged, latencies are the higher ones.
WindowData together(const WindowData& a, const WindowData& b) {
  WindowData out = a;
  out.length_s += b.length_s;
  out.requests += b.requests;
  out.failures += b.failures;
  out.requests_per_s =
      (a.requests_per_s * a.length_s + b.requests_per_s * b.length_s) / out.length_s;
  if (a.output_tokens_per_s || b.output_tokens_per_s)
    out.output_tokens_per_s = (a.output_tokens_per_s.value_or(0) * a.length_s +
                               b.output_tokens_per_s.value_or(0) * b.length_s) /
                              out.length_s;
  take_highest(out.users, b.users);
  take_highest(out.mean_ms, b.mean_ms);
  take_highest(out.p50_ms, b.p50_ms);
  take_highest(out.p95_ms, b.p95_ms);
  take_highest(out.p99_ms, b.p99_ms);
  take_highest(out.max_ms, b.max_ms);
  take_highest(out.ttft_p50_ms, b.ttft_p50_ms);
  take_highest(out.ttft_p99_ms, b.ttft_p99_ms);
  return out;
}

// At most kPointsMax windows. A short one at the end, in which a few late answers came, goes to the
// one before: its rates would be peaks of no meaning.
std::vector<WindowData> thinned(std::vector<WindowData> windows, size_t& group) {
  if (windows.size() > 1 && windows.back().length_s < windows.front().length_s / 2) {
    windows[windows.size() - 2] = together(windows[windows.size() - 2], windows.back());
    windows.pop_back();
  }
  group = (windows.size() + kPointsMax - 1) / kPointsMax;
  if (group <= 1) return windows;
  std::vector<WindowData> out;
  for (size_t i = 0; i < windows.size(); i += group) {
    out.push_back(windows[i]);
    for (size_t j = i + 1; j < std::min(i + group, windows.size()); ++j)
      out.back() = together(out.back(), windows[j]);
  }
  return out;
}

class TimeChart {
 public:
  TimeChart(const RunData& run, std::string title, std::string y_title, std::string y_unit) {
    windows_ = thinned(run.windows, group_);
    chart_.title = std::move(title);
    chart_.x_title = "seconds since the start";
    chart_.y_title = std::move(y_title);
    chart_.y_unit = std::move(y_unit);
    for (const WindowData& window : windows_) {
      chart_.xs.push_back(window.start_s + window.length_s / 2);
      chart_.x_texts.push_back(fmt::format("{} to {} s", short_number(window.start_s),
                                           short_number(window.start_s + window.length_s)));
    }
  }
  LineChart& chart() { return chart_; }
  size_t group() const { return group_; }

  template <class Value>
  void line(std::string name, std::string style, Value value, bool filled = false) {
    ChartLine line{.name = std::move(name), .style = std::move(style), .ys = {}, .filled = filled};
    bool any = false;
    for (const WindowData& window : windows_) {
      const std::optional<double> y = value(window);
      line.ys.push_back(y ? *y : kNone);
      any = any || y.has_value();
    }
    if (any) chart_.lines.push_back(std::move(line));
  }
  std::string draw() const { return chart_.lines.empty() ? std::string() : line_chart(chart_); }

 private:
  LineChart chart_;
  std::vector<WindowData> windows_;
  size_t group_ = 1;
};

std::string group_note(size_t group) {
  return group > 1 ? fmt::format("Each point is the highest of {} windows.", group) : std::string();
}

// Where a share of 1 - 1/2^n and so on lies across: equal steps for 0, 90 %, 99 %, 99.9 %, ...
double across(double q) { return -std::log10(1 - q); }

ChartLine percentile_line(const HistogramData& times, std::string name, std::string style,
                          const std::vector<double>& shares) {
  ChartLine line{.name = std::move(name), .style = std::move(style), .ys = {}};
  // One walk for all: quantile_ms() for each would go through the counters again and again.
  const auto count = static_cast<double>(times.count);
  size_t counter = 0;
  double seen = times.counts_ms.empty() ? 0 : static_cast<double>(times.counts_ms[0].second);
  for (const double q : shares) {
    if (times.counts_ms.empty() || (1 - q) * count < 0.5) {
      line.ys.push_back(kNone);
      continue;
    }
    while (seen < std::ceil(q * count) && counter + 1 < times.counts_ms.size())
      seen += static_cast<double>(times.counts_ms[++counter].second);
    line.ys.push_back(std::clamp(times.counts_ms[counter].first, times.min_ms,
                                 std::max(times.min_ms, times.max_ms)));
  }
  return line;
}

bool wide(const HistogramData& times) {
  const double p50 = times.quantile_ms(0.5).value_or(0);
  return p50 > 0 && times.max_ms > kLogAbove * p50;
}

}  // namespace

std::string latency_over_time_chart(const RunData& run) {
  TimeChart time(run, "Latency over time", "ms", " ms");
  time.chart().note = group_note(time.group());
  const bool percentiles =
      std::any_of(run.windows.begin(), run.windows.end(),
                  [](const WindowData& window) { return window.p50_ms.has_value(); });
  if (percentiles) {
    time.line("p50", "c1", [](const WindowData& window) { return window.p50_ms; });
    time.line("p95", "c3", [](const WindowData& window) { return window.p95_ms; });
    time.line("p99", "c2", [](const WindowData& window) { return window.p99_ms; });
  } else {
    time.line("mean", "c1", [](const WindowData& window) { return window.mean_ms; });
  }
  time.line("max", "muted", [](const WindowData& window) { return window.max_ms; });
  if (wide(run.latency)) {
    time.chart().y_log = true;
    time.chart().y_title = "ms (logarithmic)";
  }
  return time.draw();
}

std::string throughput_over_time_chart(const RunData& run) {
  TimeChart time(run, "Throughput and errors over time", "per second", "/s");
  time.line(
      "good answers", "c1",
      [](const WindowData& window) { return std::optional(window.requests_per_s); }, true);
  time.line(
      "failures", "bad",
      [](const WindowData& window) {
        return std::optional(static_cast<double>(window.failures) / window.length_s);
      },
      true);
  return time.draw();
}

std::string users_over_time_chart(const RunData& run) {
  const auto& windows = run.windows;
  if (std::adjacent_find(windows.begin(), windows.end(), [](const auto& a, const auto& b) {
        return a.users != b.users;
      }) == windows.end())
    return {};
  TimeChart time(run, "Users over time", "users", "");
  time.line(
      "users", "c6", [](const WindowData& window) { return window.users; }, true);
  return time.draw();
}

std::string first_token_over_time_chart(const RunData& run) {
  TimeChart time(run, "Time to first token over time", "ms", " ms");
  time.chart().note = group_note(time.group());
  time.line("p50", "c1", [](const WindowData& window) { return window.ttft_p50_ms; });
  time.line("p99", "c2", [](const WindowData& window) { return window.ttft_p99_ms; });
  return time.draw();
}

std::string tokens_over_time_chart(const RunData& run) {
  TimeChart time(run, "Output tokens over time", "tokens/s", " tokens/s");
  time.line(
      "tokens", "c3", [](const WindowData& window) { return window.output_tokens_per_s; }, true);
  return time.draw();
}

std::string percentile_chart(const RunData& run) {
  if (run.latency.counts_ms.empty()) return {};
  LineChart chart{.title = "Percentiles", .x_title = "percentile", .y_title = "ms"};
  chart.y_unit = " ms";
  const double depth = std::clamp(std::log10(static_cast<double>(run.latency.count)), 1.0, 5.0);
  const double last = depth;
  std::vector<double> shares;
  for (double x = 0; x <= last + 1e-9; x += 0.04) {
    const double q = 1 - std::pow(10, -x);
    shares.push_back(q);
    chart.xs.push_back(across(q));
    chart.x_texts.push_back(fmt::format("p{:.6g}", std::floor(q * 1e7) / 1e5));
  }
  static constexpr const char* kLabels[] = {"0", "p90", "p99", "p99.9", "p99.99", "p99.999"};
  for (int i = 0; i <= static_cast<int>(last); ++i) chart.x_ticks.emplace_back(i, kLabels[i]);
  if (last <= 3) chart.x_ticks.emplace_back(across(0.5), "p50");
  std::sort(chart.x_ticks.begin(), chart.x_ticks.end());
  const bool two = !run.service.counts_ms.empty();
  if (two) {
    chart.lines.push_back(percentile_line(run.service, "from the actual send", "c3", shares));
    chart.lines.back().dashed = true;
    chart.note =
        "What lies between the two lines is waiting that a tool which counts from the actual send "
        "does not see.";
  }
  chart.lines.push_back(
      percentile_line(run.latency, two ? "from the intended send" : "latency", "c1", shares));
  if (wide(run.latency)) {
    chart.y_log = true;
    chart.y_title = "ms (logarithmic)";
  }
  return line_chart(chart);
}

std::string distribution_chart(const std::string& title, const HistogramData& times,
                               const std::string& style) {
  if (times.counts_ms.empty()) return {};
  BarChart chart{.title = title, .x_title = "ms", .y_title = "% of all", .style = style};
  chart.x_unit = " ms";
  chart.y_unit = " %";
  const double low = times.min_ms;
  double high = times.quantile_ms(0.99).value_or(times.max_ms);
  if (times.max_ms < high * 1.5) high = times.max_ms;
  if (!(high > low)) high = low + std::max(low * 0.01, 0.001);
  std::vector<double> counts(kBars, 0);
  double beyond = 0;
  for (const auto& [upper, count] : times.counts_ms) {
    if (upper > high * (1 + 2e-3)) {
      beyond += static_cast<double>(count);
      continue;
    }
    const double place = (upper - low) / (high - low) * kBars;
    counts[static_cast<size_t>(std::clamp(place, 0.0, kBars - 1.0))] += static_cast<double>(count);
  }
  for (int i = 0; i <= kBars; ++i) chart.edges.push_back(low + (high - low) * i / kBars);
  for (const double count : counts)
    chart.values.push_back(100 * count / static_cast<double>(times.count));
  chart.note = fmt::format(
      "p50 {} ms, p99 {} ms, mean {} ms.", short_number(times.quantile_ms(0.5).value_or(0)),
      short_number(times.quantile_ms(0.99).value_or(0)), short_number(times.mean_ms));
  if (beyond > 0)
    chart.note += fmt::format(" {} % lie beyond the drawing, the highest at {} ms.",
                              short_number(100 * beyond / static_cast<double>(times.count)),
                              short_number(times.max_ms));
  return bar_chart(chart);
}

std::string http_time_chart(const RunData& run) {
  if (run.http.empty()) return {};
  ShareBar bar{.title = "Where the time of an answer goes", .unit = " ms"};
  bar.parts = {{"sending", run.http.sending.mean_ms},
               {"waiting for the first byte", run.http.waiting.mean_ms},
               {"receiving", run.http.receiving.mean_ms}};
  bar.note = "Means of good answers, as the client sees them.";
  return share_bar(bar);
}

std::string server_chart(const RunData& run) {
  ShareBar bar{.title = "Where the time goes, as the server tells", .unit = " ms"};
  bar.parts = server_share(run);
  bar.note = "Means; the rest is what the client waited for beyond the server's own times.";
  return share_bar(bar);
}

std::string sweep_chart(const Report& report) {
  if (!report.is_sweep()) return {};
  LineChart chart{.title = "Latency over throughput", .x_title = "requests/s", .y_title = "ms"};
  chart.dots = true;
  chart.y_unit = " ms";
  chart.lines = {{.name = "p50", .style = "c1", .ys = {}},
                 {.name = "p95", .style = "c3", .ys = {}},
                 {.name = "p99", .style = "c2", .ys = {}}};
  double low = HUGE_VAL, high = 0;
  for (const size_t i : runs_by_level(report)) {
    const RunData& run = report.runs[i];
    if (run.latency.empty()) continue;
    chart.xs.push_back(run.requests_per_s);
    chart.x_texts.push_back(concat(run.level_rate ? "wanted " : "concurrency ",
                                   count_text(*run.level()), ": ", short_number(run.requests_per_s),
                                   " requests/s"));
    chart.point_labels.push_back(count_text(*run.level()));
    size_t line = 0;
    for (const double q : {0.5, 0.95, 0.99}) {
      const double y = run.latency_to_judge().quantile_ms(q).value_or(kNone);
      chart.lines[line++].ys.push_back(y);
      if (y > 0) low = std::min(low, y), high = std::max(high, y);
    }
  }
  if (high > kLogAbove * low) {
    chart.y_log = true;
    chart.y_title = "ms (logarithmic)";
  }
  chart.note = report.runs.front().level_rate
                   ? "A point for each wanted rate, which stands above p99."
                   : "A point for each concurrency, which stands above p99.";
  return line_chart(chart);
}

std::string sweep_throughput_chart(const Report& report) {
  if (!report.is_sweep()) return {};
  const bool rates = report.runs.front().level_rate.has_value();
  LineChart chart{.title = rates ? "Reached over wanted throughput" : "Throughput over concurrency",
                  .x_title = rates ? "wanted requests/s" : "concurrency",
                  .y_title = "requests/s"};
  chart.dots = true;
  chart.y_unit = "/s";
  ChartLine reached{.name = "good answers", .style = "c1", .ys = {}};
  ChartLine failed{.name = "failures", .style = "bad", .ys = {}};
  bool any = false;
  for (const size_t i : runs_by_level(report)) {
    const RunData& run = report.runs[i];
    if (!run.measured) continue;
    chart.xs.push_back(*run.level());
    chart.x_texts.push_back(concat(rates ? "wanted " : "concurrency ", count_text(*run.level())));
    reached.ys.push_back(run.requests_per_s);
    failed.ys.push_back(run.wall_s > 0 ? static_cast<double>(run.failures) / run.wall_s : 0);
    any = any || run.failures > 0;
  }
  chart.lines.push_back(std::move(reached));
  if (any) chart.lines.push_back(std::move(failed));
  return line_chart(chart);
}

}  // namespace sis::perf
