#include "perf/report/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/report/html_text.h"
#include "perf/report/summary.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

// A drawing of 520 x 250 units: about its size in pixels on a wide screen, 0.65 of it on a phone.
constexpr double kWidth = 520, kHeight = 250;
constexpr double kLeft = 58, kRight = 506, kTop = 14, kBottom = 208;

// From values to drawing units.
class Scale {
 public:
  Scale(double low, double high, double from, double to, bool log = false)
      : low_(log ? std::log10(low) : low),
        high_(log ? std::log10(high) : high),
        from_(from),
        to_(to),
        log_(log) {
    if (!(high_ > low_)) high_ = low_ + 1;
  }
  double operator()(double value) const {
    const double x = log_ ? std::log10(std::max(value, 1e-12)) : value;
    return from_ + std::clamp((x - low_) / (high_ - low_), -0.02, 1.02) * (to_ - from_);
  }

 private:
  double low_, high_, from_, to_;
  bool log_;
};

std::string figure(std::string_view title, const std::string& svg, const std::string& legend,
                   std::string_view note) {
  std::string out = concat("<figure class=\"chart\"><figcaption>", html_escaped(title),
                           "</figcaption>", legend, svg);
  if (!note.empty()) out += concat("<p class=\"note\">", html_escaped(note), "</p>");
  return out + "</figure>\n";
}

std::string svg_head(std::string_view title, const Json& hover) {
  return fmt::format(
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\" data-hover=\"{}\">\n", kWidth,
      kHeight, html_escaped(title),
      html_escaped(hover.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view text,
                    std::string_view style = "tick") {
  return fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n",
                     style, x, y, anchor, html_escaped(text));
}

std::string y_axis(const std::vector<double>& ticks, const Scale& y, std::string_view title) {
  std::string out;
  for (const double tick : ticks) {
    out += fmt::format("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
                       kLeft, kRight, y(tick), y(tick));
    out += text_at(kLeft - 6, y(tick) + 4, "end", tick_text(tick));
  }
  out += fmt::format(
      "<text class=\"axis\" transform=\"translate(13 {}) rotate(-90)\" "
      "text-anchor=\"middle\">{}</text>\n",
      (kTop + kBottom) / 2, html_escaped(title));
  return out;
}

std::string x_axis(const std::vector<std::pair<double, std::string>>& ticks, const Scale& x,
                   std::string_view title) {
  std::string out = fmt::format("<line class=\"base\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>\n",
                                kLeft, kRight, kBottom, kBottom);
  for (const auto& [value, label] : ticks) {
    out +=
        fmt::format("<line class=\"base\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>\n",
                    x(value), kBottom, kBottom + 4);
    out += text_at(x(value), kBottom + 17, "middle", label);
  }
  return out + text_at((kLeft + kRight) / 2, kHeight - 6, "middle", title, "axis");
}

std::vector<std::pair<double, std::string>> tick_labels(const std::vector<double>& ticks) {
  std::vector<std::pair<double, std::string>> out;
  for (const double tick : ticks) out.emplace_back(tick, tick_text(tick));
  return out;
}

// 1-2-5 steps around [low, high], thinned to powers of ten inside when they are many.
std::vector<double> log_ticks(double low, double high) {
  std::vector<double> steps;
  for (double power = std::floor(std::log10(low)); power <= std::log10(high) + 1; ++power)
    for (const double factor : {1.0, 2.0, 5.0}) steps.push_back(factor * std::pow(10, power));
  size_t first = 0, last = steps.size() - 1;
  while (first + 2 < steps.size() && steps[first + 1] <= low * 1.0001) ++first;
  while (last > first + 1 && steps[last - 1] >= high * 0.9999) --last;
  std::vector<double> out;
  const size_t shown = last - first + 1, every = shown > 24 ? 6 : shown > 7 ? 3 : 1;
  for (size_t i = first; i <= last; ++i)
    if (i == first || i == last ||
        (i % every == 0 && i - first >= every / 2 && last - i >= every / 2))
      out.push_back(steps[i]);
  return out;
}

struct Range {
  double low = HUGE_VAL, high = -HUGE_VAL;

  void add(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool any() const { return low <= high; }
};

std::string legend_of(const std::vector<ChartLine>& lines) {
  if (lines.size() < 2) return {};
  std::string out = "<p class=\"legend\">";
  for (const ChartLine& line : lines)
    out += fmt::format("<span><i class=\"{}{}\"></i>{}</span>", line.style,
                       line.dashed ? " dashed" : "", html_escaped(line.name));
  return out + "</p>";
}

// The pieces of a line between gaps, as paths; a lone point becomes a dot.
std::string line_paths(const ChartLine& line, const std::vector<double>& xs, const Scale& x,
                       const Scale& y, bool dots) {
  std::string path, area, circles;
  size_t i = 0;
  while (i < xs.size()) {
    if (!std::isfinite(line.ys[i])) {
      ++i;
      continue;
    }
    const size_t begin = i;
    for (; i < xs.size() && std::isfinite(line.ys[i]); ++i)
      path += fmt::format("{}{:.1f} {:.1f}", i == begin ? "M" : "L", x(xs[i]), y(line.ys[i]));
    if (line.filled && i - begin > 1) {
      area += fmt::format("M{:.1f} {:.1f}", x(xs[begin]), kBottom);
      for (size_t j = begin; j < i; ++j)
        area += fmt::format("L{:.1f} {:.1f}", x(xs[j]), y(line.ys[j]));
      area += fmt::format("L{:.1f} {:.1f}Z", x(xs[i - 1]), kBottom);
    }
    if (i - begin == 1 && !dots)
      circles += fmt::format("<circle class=\"dot {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2\"/>\n",
                             line.style, x(xs[begin]), y(line.ys[begin]));
  }
  std::string out;
  if (!area.empty()) out += fmt::format("<path class=\"area {}\" d=\"{}\"/>\n", line.style, area);
  if (!path.empty())
    out += fmt::format("<path class=\"line {}{}\" d=\"{}\"/>\n", line.style,
                       line.dashed ? " dashed" : "", path);
  if (dots)
    for (size_t j = 0; j < xs.size(); ++j)
      if (std::isfinite(line.ys[j]))
        circles += fmt::format("<circle class=\"dot {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/>\n",
                               line.style, x(xs[j]), y(line.ys[j]));
  return out + circles;
}

Json rounded(double value) {
  return std::isfinite(value) ? Json(std::round(value * 10) / 10) : Json(nullptr);
}

}  // namespace

std::vector<double> nice_ticks(double low, double high, int count) {
  if (!std::isfinite(low) || !std::isfinite(high) || !(high > low)) high = low + 1;
  const double raw = (high - low) / std::max(count, 1);
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = power;
  for (const double factor : {1.0, 2.0, 2.5, 5.0, 10.0}) {
    step = power * factor;
    if (step >= raw * 0.999) break;
  }
  std::vector<double> out;
  const double first = std::floor(low / step + 1e-9);
  for (double i = first; out.size() < 100; ++i) {
    out.push_back(i * step);
    if (i * step >= high - step * 1e-6) break;
  }
  return out;
}

std::string tick_text(double value) {
  const double size = std::fabs(value);
  if (size >= 1e9) return fmt::format("{:g}G", value / 1e9);
  if (size >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:g}k", value / 1e3);
  if (size >= 1000)
    return (value < 0 ? "-" : "") + with_commas(static_cast<uint64_t>(std::llround(size)));
  return fmt::format("{:.4g}", value);
}

std::string line_chart(const LineChart& chart) {
  Range xs, ys;
  for (const double x : chart.xs) xs.add(x);
  for (const ChartLine& line : chart.lines)
    for (const double y : line.ys)
      if (!chart.y_log || y > 0) ys.add(y);
  if (!xs.any() || !ys.any()) return {};
  std::vector<double> ticks = chart.y_log
                                  ? log_ticks(ys.low, ys.high)
                                  : nice_ticks(std::min(0.0, ys.low), std::max(ys.high, 1e-6), 5);
  const Scale y(ticks.front(), ticks.back(), kBottom, kTop, chart.y_log);
  auto x_ticks = chart.x_ticks;
  if (x_ticks.empty()) {
    std::vector<double> positions = nice_ticks(xs.low, xs.high, 6);
    std::erase_if(positions, [&](double at) {
      const double slack = (xs.high - xs.low) * 1e-6;
      return at < xs.low - slack || at > xs.high + slack;
    });
    x_ticks = tick_labels(positions);
  }
  Range across = xs;
  for (const auto& [value, label] : x_ticks) across.add(value);
  if (across.low == across.high) across.low -= 0.5, across.high += 0.5;
  // Points that matter by themselves stay off the frame.
  const double edge = chart.dots ? 12 : 0;
  const Scale x(across.low, across.high, kLeft + edge, kRight - edge);

  Json hover = {{"x", Json::array()}, {"t", chart.x_texts}, {"s", Json::array()}};
  for (const double value : chart.xs) hover["x"].push_back(rounded(x(value)));
  for (const ChartLine& line : chart.lines) {
    Json at = Json::array(), texts = Json::array();
    for (const double value : line.ys) {
      at.push_back(std::isfinite(value) ? rounded(y(value)) : Json(nullptr));
      texts.push_back(std::isfinite(value) ? Json(concat(short_number(value), chart.y_unit))
                                           : Json("-"));
    }
    hover["s"].push_back({{"n", line.name}, {"c", line.style}, {"y", at}, {"v", texts}});
  }
  std::string svg = svg_head(chart.title, hover);
  svg += y_axis(ticks, y, chart.y_title);
  svg += x_axis(x_ticks, x, chart.x_title);
  for (const ChartLine& line : chart.lines) svg += line_paths(line, chart.xs, x, y, chart.dots);
  if (!chart.lines.empty())
    for (size_t i = 0; i < chart.point_labels.size() && i < chart.xs.size(); ++i) {
      const double value = chart.lines.back().ys[i];
      if (std::isfinite(value))
        svg += text_at(x(chart.xs[i]), y(value) - 9, "middle", chart.point_labels[i]);
    }
  return figure(chart.title, svg + "</svg>", legend_of(chart.lines), chart.note);
}

std::string bar_chart(const BarChart& chart) {
  Range ys;
  for (const double value : chart.values) ys.add(value);
  if (!ys.any() || chart.edges.size() != chart.values.size() + 1 || !(ys.high > 0)) return {};
  const std::vector<double> ticks = nice_ticks(0, ys.high, 4);
  const Scale y(0, ticks.back(), kBottom, kTop);
  const Scale x(chart.edges.front(), chart.edges.back(), kLeft, kRight);
  std::vector<double> positions = nice_ticks(chart.edges.front(), chart.edges.back(), 6);
  std::erase_if(positions, [&](double at) {
    return at < chart.edges.front() || at > chart.edges.back() * (1 + 1e-9);
  });
  Json hover = {{"x", Json::array()}, {"t", Json::array()}, {"s", Json::array()}};
  Json at = Json::array(), texts = Json::array();
  std::string bars;
  for (size_t i = 0; i < chart.values.size(); ++i) {
    const double left = x(chart.edges[i]), right = x(chart.edges[i + 1]);
    const double top = y(chart.values[i]);
    if (chart.values[i] > 0)
      bars += fmt::format(
          "<rect class=\"bar {}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>\n",
          chart.style, left + 0.5, std::min(top, kBottom - 1), std::max(right - left - 1, 0.8),
          std::max(kBottom - top, 1.0));
    hover["x"].push_back(rounded((left + right) / 2));
    hover["t"].push_back(concat(short_number(chart.edges[i]), " to ",
                                short_number(chart.edges[i + 1]), chart.x_unit));
    at.push_back(rounded(top));
    texts.push_back(concat(short_number(chart.values[i]), chart.y_unit));
  }
  hover["s"].push_back({{"n", chart.y_title}, {"c", chart.style}, {"y", at}, {"v", texts}});
  std::string svg = svg_head(chart.title, hover);
  svg += y_axis(ticks, y, chart.y_title) + bars + x_axis(tick_labels(positions), x, chart.x_title);
  return figure(chart.title, svg + "</svg>", "", chart.note);
}

std::string share_bar(const ShareBar& bar) {
  double sum = 0;
  for (const auto& [name, value] : bar.parts) sum += std::max(value, 0.0);
  if (!(sum > 0)) return {};
  constexpr double kBarHeight = 34;
  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n",
                                kWidth, kBarHeight, html_escaped(bar.title));
  std::string legend = "<ul class=\"shares\">";
  double left = 0;
  int number = 0;
  for (const auto& [name, value] : bar.parts) {
    const double width = std::max(value, 0.0) / sum * kWidth;
    const std::string style = number < 6 ? concat("c", ++number) : "muted";
    svg += fmt::format(
        "<rect class=\"bar {}\" x=\"{:.1f}\" y=\"2\" width=\"{:.1f}\" height=\"{}\"><title>{}: {}{}"
        "</title></rect>\n",
        style, left, std::max(width - 2, 0.5), kBarHeight - 4, html_escaped(name),
        short_number(value), html_escaped(bar.unit));
    legend += fmt::format("<li><i class=\"{}\"></i>{} <b>{}{}</b> <small>{:.1f} %</small></li>",
                          style, html_escaped(name), short_number(value), html_escaped(bar.unit),
                          100 * value / sum);
    left += width;
  }
  return figure(bar.title, svg + "</svg>" + legend + "</ul>", "", bar.note);
}

}  // namespace sis::perf
