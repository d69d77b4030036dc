// The words of a threshold, as k6 writes them: which metric, and what must hold for it.
//
//   http_req_duration{scenario:load_test}   a metric, with tags that narrow it down
//   p(95) < 500                             aggregate, comparison, limit
//
// Knows nothing of which metrics exist or where their values come from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sis::perf {

enum class Aggregate : uint8_t {
  kAverage,
  kMin,
  kMax,
  kMedian,
  kPercentile,
  kCount,
  kRate,
  kValue,
};
enum class Comparison : uint8_t {
  kGreater,
  kGreaterEqual,
  kLess,
  kLessEqual,
  kEqual,  // "==" and "==="
  kNotEqual,
};

struct ThresholdExpression {
  std::string text;  // as written, without white space around it
  Aggregate aggregate = Aggregate::kAverage;
  double percentile = 0;  // 0..100, of kPercentile
  Comparison comparison = Comparison::kLess;
  double limit = 0;

  bool met_by(double value) const;
  std::string aggregate_text() const;  // "p(95)"
};

// kInvalidArgument with what is wrong and where: "'p95<200': want avg, min, ..., got 'p95'".
Result<ThresholdExpression> parse_threshold_expression(std::string_view text);

struct MetricTag {
  std::string name, value;
};

struct MetricName {
  std::string text;  // as written
  std::string base;  // "http_req_duration"
  std::vector<MetricTag> tags;
};

Result<MetricName> parse_metric_name(std::string_view text);

}  // namespace sis::perf
