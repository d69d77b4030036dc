#include "perf/gate/metric.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/gate/metric_source.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

// The document's own histograms have at most 27 thousand counters.
constexpr size_t kCountsMax = 200'000;

constexpr MetricInfo kCatalog[] = {
    {"http_req_duration", MetricKind::kTrend,
     "sending + waiting + receiving, from the actual send"},
    {"http_req_waiting", MetricKind::kTrend, "request out to first byte of the answer (TTFB)"},
    {"http_req_connecting", MetricKind::kTrend, "making connections"},
    {"http_req_tls_handshaking", MetricKind::kTrend, "TLS handshakes"},
    {"http_req_sending", MetricKind::kTrend, "first to last byte of the request"},
    {"http_req_receiving", MetricKind::kTrend, "first to last byte of the answer"},
    {"http_req_failed", MetricKind::kRate, "share of requests that failed"},
    {"http_reqs", MetricKind::kCounter, "requests that ended, well or not"},
    {"iterations", MetricKind::kCounter, "the same as http_reqs"},
    {"iteration_duration", MetricKind::kTrend, "the same as http_req_duration"},
    {"dropped_iterations", MetricKind::kCounter, "requests that were due and never sent"},
    {"checks", MetricKind::kRate, "share of requests answered well"},
    {"data_sent", MetricKind::kCounter, "bytes"},
    {"data_received", MetricKind::kCounter, "bytes"},
    {"vus", MetricKind::kGauge, "users (connections that may send) at the end"},
    {"vus_max", MetricKind::kGauge, "the most users"},
    {"latency", MetricKind::kTrend, "good answers, from the intended send"},
    {"service", MetricKind::kTrend, "good answers, from the actual send"},
    {"ttft", MetricKind::kTrend, "intended send to first token"},
    {"itl", MetricKind::kTrend, "between neighbouring tokens"},
    {"tpot", MetricKind::kTrend, "mean time per token after the first"},
    {"output_tokens", MetricKind::kCounter, "tokens generated"},
    {"prompt_tokens", MetricKind::kCounter, "tokens of prompts"},
    {"goodput", MetricKind::kRate, "share of requests within their --slo limits"},
    {"errors", MetricKind::kCounter, "requests that failed"},
};

const char* kind_name(MetricKind kind) {
  switch (kind) {
    case MetricKind::kTrend:
      return "trend";
    case MetricKind::kCounter:
      return "counter";
    case MetricKind::kRate:
      return "rate";
    case MetricKind::kGauge:
      return "gauge";
  }
  return "?";
}

const char* kind_aggregates(MetricKind kind) {
  switch (kind) {
    case MetricKind::kTrend:
      return "avg, min, max, med or p(N)";
    case MetricKind::kCounter:
      return "count or rate";
    case MetricKind::kRate:
      return "rate";
    case MetricKind::kGauge:
      return "value";
  }
  return "?";
}

bool fits(MetricKind kind, Aggregate aggregate) {
  switch (aggregate) {
    case Aggregate::kAverage:
    case Aggregate::kMin:
    case Aggregate::kMax:
    case Aggregate::kMedian:
    case Aggregate::kPercentile:
      return kind == MetricKind::kTrend;
    case Aggregate::kCount:
      return kind == MetricKind::kCounter;
    case Aggregate::kRate:
      return kind == MetricKind::kCounter || kind == MetricKind::kRate;
    case Aggregate::kValue:
      return kind == MetricKind::kGauge;
  }
  return false;
}

// Which answers a metric is taken of.
enum class Answers : uint8_t { kAll, kExpected, kUnexpected };

Answers answers_of(const MetricName& name) {
  for (const MetricTag& tag : name.tags)
    if (tag.name == "expected_response")
      return tag.value == "true" ? Answers::kExpected : Answers::kUnexpected;
  return Answers::kAll;
}

MetricData counter(double count, double seconds) {
  return {.kind = MetricKind::kCounter, .count = count, .seconds = seconds};
}

// Time of requests from their actual send; in a closed loop that is the latency.
std::optional<TrendData> durations(const MetricSource& source, Answers answers) {
  std::optional<TrendData> good, failed;
  if (answers != Answers::kUnexpected) {
    good = source.trend(Trend::kService);
    if (!good) good = source.trend(Trend::kLatency);
  }
  if (answers != Answers::kExpected) failed = source.trend(Trend::kFailed);
  if (good && failed) good->merge(*failed);
  return good ? good : failed;
}

struct PlainTrend {
  const char* name;
  Trend trend;
};
constexpr PlainTrend kPlainTrends[] = {
    {"http_req_waiting", Trend::kWaiting},
    {"http_req_connecting", Trend::kConnecting},
    {"http_req_tls_handshaking", Trend::kTlsHandshaking},
    {"http_req_sending", Trend::kSending},
    {"http_req_receiving", Trend::kReceiving},
    {"latency", Trend::kLatency},
    {"ttft", Trend::kTtft},
    {"itl", Trend::kItl},
    {"tpot", Trend::kTpot},
};
struct PlainCounter {
  const char* name;
  Figure figure;
};
constexpr PlainCounter kPlainCounters[] = {
    {"dropped_iterations", Figure::kUnsent},  {"data_sent", Figure::kBytesOut},
    {"data_received", Figure::kBytesIn},      {"output_tokens", Figure::kOutputTokens},
    {"prompt_tokens", Figure::kPromptTokens}, {"errors", Figure::kFailures},
};

std::optional<MetricData> trend_data(const std::string& base, const MetricSource& source,
                                     Answers answers) {
  std::optional<TrendData> trend;
  if (base == "http_req_duration" || base == "iteration_duration") {
    trend = durations(source, answers);
  } else if (base == "service") {
    trend = durations(source, Answers::kExpected);
  } else if (answers != Answers::kUnexpected) {  // the others are of good answers only
    for (const PlainTrend& plain : kPlainTrends)
      if (base == plain.name) trend = source.trend(plain.trend);
  }
  if (!trend || trend->count == 0) return std::nullopt;
  return MetricData{.kind = MetricKind::kTrend, .trend = std::move(*trend)};
}

std::optional<MetricData> rate_data(const std::string& base, const MetricSource& source,
                                    Answers answers) {
  const auto requests = source.figure(Figure::kRequests),
             failures = source.figure(Figure::kFailures);
  if (!requests || !failures) return std::nullopt;
  MetricData data{.kind = MetricKind::kRate, .total = *requests};
  if (base == "goodput") {
    const auto met = source.figure(Figure::kSloMet);
    if (!met) return std::nullopt;
    data.hits = *met;
    return data;
  }
  const bool of_failed = base == "http_req_failed";
  if (answers == Answers::kExpected) {
    data.total = *requests - *failures;
    data.hits = of_failed ? 0 : data.total;
  } else if (answers == Answers::kUnexpected) {
    data.total = *failures;
    data.hits = of_failed ? data.total : 0;
  } else {
    data.hits = of_failed ? *failures : *requests - *failures;
  }
  return data;
}

std::optional<MetricData> counter_data(const std::string& base, const MetricSource& source,
                                       Answers answers) {
  const double seconds = source.figure(Figure::kSeconds).value_or(0);
  if (base == "http_reqs" || base == "iterations") {
    const auto requests = source.figure(Figure::kRequests);
    const auto failures = source.figure(Figure::kFailures);
    if (!requests || !failures) return std::nullopt;
    return counter(answers == Answers::kAll        ? *requests
                   : answers == Answers::kExpected ? *requests - *failures
                                                   : *failures,
                   seconds);
  }
  for (const PlainCounter& plain : kPlainCounters) {
    if (base != plain.name) continue;
    const auto count = source.figure(plain.figure);
    if (!count) return std::nullopt;
    return counter(*count, seconds);
  }
  return std::nullopt;
}

std::optional<MetricData> data_from(const MetricName& name, const MetricSource& source) {
  const MetricInfo* info = find_metric(name.base);
  if (info == nullptr) return std::nullopt;
  const Answers answers = answers_of(name);
  switch (info->kind) {
    case MetricKind::kTrend:
      return trend_data(name.base, source, answers);
    case MetricKind::kCounter:
      return counter_data(name.base, source, answers);
    case MetricKind::kRate:
      return rate_data(name.base, source, answers);
    case MetricKind::kGauge: {
      const auto value = source.figure(name.base == "vus_max" ? Figure::kUsersMax : Figure::kUsers);
      if (!value) return std::nullopt;
      return MetricData{.kind = MetricKind::kGauge, .value = *value};
    }
  }
  return std::nullopt;
}

// The middle of the histogram's counter that ends at `upper_ms`; see histogram.h for the widths.
double middle_of(double upper_ms) {
  const auto unit = static_cast<uint64_t>(std::llround(upper_ms * 1e6)) >> 6;
  const int shift = std::max(0, static_cast<int>(std::bit_width(unit)) - 11);
  return upper_ms - std::ldexp(64e-6, shift) / 2;
}

}  // namespace

std::span<const MetricInfo> metric_catalog() { return kCatalog; }

const MetricInfo* find_metric(std::string_view base) {
  for (const MetricInfo& info : kCatalog)
    if (base == info.name) return &info;
  return nullptr;
}

double TrendData::quantile(double q) const {
  if (count == 0) return 0;
  const double rank = std::clamp(q, 0.0, 1.0) * static_cast<double>(count - 1);
  const auto below = static_cast<uint64_t>(rank);
  const double part = rank - static_cast<double>(below);
  double low = max;
  uint64_t seen = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    seen += counts[i].second;
    if (seen <= below) continue;
    low = counts[i].first;
    const bool next_is_here = seen > below + 1;
    const double high = next_is_here || i + 1 == counts.size() ? low : counts[i + 1].first;
    low += part * (high - low);
    break;
  }
  if (below == 0 && part == 0) return min;
  if (below + 1 == count) return max;
  return std::clamp(low, min, max);
}

void TrendData::merge(const TrendData& other) {
  if (other.count == 0) return;
  if (count == 0) {
    *this = other;
    return;
  }
  std::vector<std::pair<double, uint64_t>> both;
  both.reserve(counts.size() + other.counts.size());
  std::merge(counts.begin(), counts.end(), other.counts.begin(), other.counts.end(),
             std::back_inserter(both));
  counts = std::move(both);
  const double n = static_cast<double>(count), m = static_cast<double>(other.count);
  mean = (mean * n + other.mean * m) / (n + m);
  min = std::min(min, other.min);
  max = std::max(max, other.max);
  count += other.count;
}

TrendData trend_of(const Histogram& histogram) {
  TrendData out{.count = histogram.count(),
                .min = histogram.min_ms(),
                .max = histogram.max_ms(),
                .mean = histogram.mean_ms()};
  histogram.for_each([&](double upper_ms, uint64_t count) {
    out.counts.emplace_back(middle_of(upper_ms), count);
  });
  return out;
}

std::optional<TrendData> trend_of(const Json& histogram) {
  if (!histogram.is_object()) return std::nullopt;
  auto counts = histogram.find("counts_up_to_ms");
  if (counts == histogram.end()) counts = histogram.find("counts");
  if (counts == histogram.end() || !counts->is_array() || counts->size() > kCountsMax)
    return std::nullopt;
  TrendData out;
  double sum = 0;
  for (const Json& pair : *counts) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number() ||
        !pair[1].is_number_unsigned())
      return std::nullopt;
    const double upper_ms = pair[0].get<double>();
    const auto count = pair[1].get<uint64_t>();
    if (!(upper_ms >= 0 && upper_ms < 1e10) || count > (uint64_t{1} << 50)) return std::nullopt;
    const double middle = middle_of(upper_ms);
    out.counts.emplace_back(middle, count);
    out.count += count;
    sum += middle * static_cast<double>(count);
  }
  if (out.count == 0) return std::nullopt;
  std::sort(out.counts.begin(), out.counts.end());
  out.min = number_at(histogram, "min").value_or(out.counts.front().first);
  out.max = number_at(histogram, "max").value_or(out.counts.back().first);
  out.mean = number_at(histogram, "mean").value_or(sum / static_cast<double>(out.count));
  return out;
}

std::optional<double> MetricData::aggregate(const ThresholdExpression& expression) const {
  switch (kind) {
    case MetricKind::kTrend:
      if (trend.count == 0) return std::nullopt;
      break;
    case MetricKind::kCounter:
      if (expression.aggregate == Aggregate::kCount) return count;
      if (seconds <= 0) return std::nullopt;
      return count / seconds;
    case MetricKind::kRate:
      if (total <= 0) return std::nullopt;
      return hits / total;
    case MetricKind::kGauge:
      return value;
  }
  switch (expression.aggregate) {
    case Aggregate::kAverage:
      return trend.mean;
    case Aggregate::kMin:
      return trend.min;
    case Aggregate::kMax:
      return trend.max;
    case Aggregate::kMedian:
      return trend.quantile(0.5);
    case Aggregate::kPercentile:
      return trend.quantile(expression.percentile / 100);
    case Aggregate::kCount:
    case Aggregate::kRate:
    case Aggregate::kValue:
      break;
  }
  return std::nullopt;
}

std::optional<MetricData> metric_data(const MetricName& name, const Json& run) {
  const Json* of = &run;
  if (const auto scenario = scenario_of(name)) {
    of = part_of_run(run, *scenario);
    if (of == nullptr) return std::nullopt;
  }
  return data_from(name, JsonSource(*of, run));
}

std::optional<MetricData> metric_data(const MetricName& name, const LiveFigures& live) {
  return data_from(name, LiveSource(live));
}

Status check_metric(const MetricName& name, const ThresholdExpression& expression) {
  const MetricInfo* info = find_metric(name.base);
  if (info == nullptr) {
    std::vector<std::string> names;
    for (const MetricInfo& known : metric_catalog()) names.emplace_back(known.name);
    return Error{Code::kInvalidArgument, concat("there is no metric ", in_quotes(name.base),
                                                "; there are: ", join_list(names))};
  }
  if (!fits(info->kind, expression.aggregate))
    return Error{Code::kInvalidArgument,
                 concat(in_quotes(expression.text), ": ", name.base, " is a ",
                        kind_name(info->kind), " and has ", kind_aggregates(info->kind), ", got ",
                        in_quotes(expression.aggregate_text()))};
  for (const MetricTag& tag : name.tags) {
    if (tag.name == "scenario") continue;
    if (tag.name == "expected_response" && (tag.value == "true" || tag.value == "false")) continue;
    return Error{
        Code::kInvalidArgument,
        concat(in_quotes(name.text), ": want scenario:NAME or expected_response:true|false ",
               "in the braces, got ", in_quotes(concat(tag.name, ":", tag.value)))};
  }
  return {};
}

std::optional<std::string> scenario_of(const MetricName& name) {
  for (const MetricTag& tag : name.tags)
    if (tag.name == "scenario") return tag.value;
  return std::nullopt;
}

}  // namespace sis::perf
