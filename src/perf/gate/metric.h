// The metrics that thresholds can name: k6's for HTTP, and those only load tests of models have.
//
// A metric is one of k6's four kinds, which decides the aggregates it has:
//   trend    avg min max med p(N)   times in ms
//   counter  count rate             rate: per second of the whole run, as in k6
//   rate     rate                   a share, 0..1
//   gauge    value                  the last one
//
// Values come from a run of the JSON document, or from what a live run has counted so far.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "perf/gate/threshold_expression.h"
#include "perf/load/tally.h"

namespace sis::perf {

enum class MetricKind : uint8_t { kTrend, kCounter, kRate, kGauge };

struct MetricInfo {
  const char* name;
  MetricKind kind;
  const char* about;
};

std::span<const MetricInfo> metric_catalog();
const MetricInfo* find_metric(std::string_view base);  // null: there is none

// A trend's values: [middle of a counter in ms, how many], rising.
struct TrendData {
  std::vector<std::pair<double, uint64_t>> counts;
  uint64_t count = 0;
  double min = 0, max = 0, mean = 0;

  // k6's: linear interpolation at rank q * (count - 1) of the sorted values; q in 0..1.
  double quantile(double q) const;
  void merge(const TrendData& other);
};
TrendData trend_of(const Histogram& histogram);
// Of a histogram object of the document. Nothing when it is empty or comes without counts.
std::optional<TrendData> trend_of(const nlohmann::ordered_json& histogram);

struct MetricData {
  MetricKind kind = MetricKind::kTrend;
  TrendData trend;
  double count = 0, seconds = 0;  // counter
  double hits = 0, total = 0;     // rate
  double value = 0;               // gauge

  // Nothing when there is no sample to take it of.
  std::optional<double> aggregate(const ThresholdExpression& expression) const;
};

// A live run, or one part of it, so far.
struct LiveFigures {
  const Tally* total = nullptr;
  double seconds = 0;
  int users = 0;
};

// Nothing when the run did not measure it, or has no such scenario.
std::optional<MetricData> metric_data(const MetricName& name, const nlohmann::ordered_json& run);
std::optional<MetricData> metric_data(const MetricName& name, const LiveFigures& live);

// kInvalidArgument when the metric, a tag, or the aggregate for this kind of metric does not exist.
Status check_metric(const MetricName& name, const ThresholdExpression& expression);
// The value of the tag `scenario`, if there is one.
std::optional<std::string> scenario_of(const MetricName& name);

}  // namespace sis::perf
