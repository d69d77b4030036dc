// Charts as SVG that goes straight into an HTML page. Colours come from the page's style sheet
// (classes c1..c6, muted, bad), so that one drawing serves light and dark. Every chart carries its
// values in data-hover for the page's script; without the script it is a still picture.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sis::perf {

struct ChartLine {
  std::string name;
  std::string style;       // "c1".."c6", "muted" or "bad"
  std::vector<double> ys;  // one for each x; NaN breaks the line
  bool dashed = false;
  bool filled = false;  // the area down to the axis
};

// Lines over common xs, joined in the order given.
struct LineChart {
  std::string title, x_title, y_title, note;
  std::vector<double> xs;
  std::vector<std::string> x_texts;  // what hovering says of each x
  std::vector<ChartLine> lines;
  std::vector<std::pair<double, std::string>> x_ticks;  // empty: chosen by the chart
  std::vector<std::string> point_labels;                // beside the points of the last line
  std::string y_unit;                                   // behind values when hovering
  bool y_log = false;
  bool dots = false;  // every point is drawn: few points, or ones that matter by themselves
};
// Empty when there is no finite value.
std::string line_chart(const LineChart& chart);

// Bars side by side, each over [lows[i], lows[i + 1]).
struct BarChart {
  std::string title, x_title, y_title, note;
  std::vector<double> edges;   // one more than bars
  std::vector<double> values;  // at least 0
  std::string x_unit, y_unit, style = "c1";
};
std::string bar_chart(const BarChart& chart);

// One bar cut into named shares of a whole, with a legend that says each.
struct ShareBar {
  std::string title, unit, note;
  std::vector<std::pair<std::string, double>> parts;  // at least 0
};
std::string share_bar(const ShareBar& bar);

// Steps of 1, 2, 2.5 or 5 that cover [low, high] with about `count` ticks; at least two.
std::vector<double> nice_ticks(double low, double high, int count);
// Short text of a tick: "0.5", "1,000", "2M".
std::string tick_text(double value);

}  // namespace sis::perf
