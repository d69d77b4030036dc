#include "perf/gate/threshold_expression.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace sis::perf {
namespace {

constexpr size_t kTextBytesMax = 256;
constexpr size_t kTagsMax = 8;

Error wrong(std::string_view text, const std::string& what) {
  return Error{Code::kInvalidArgument, concat(in_quotes(text), ": ", what)};
}

struct ComparisonWord {
  const char* word;
  Comparison comparison;
};
// Longer words before those they begin with.
constexpr ComparisonWord kComparisons[] = {
    {"===", Comparison::kEqual},    {"==", Comparison::kEqual},
    {"!=", Comparison::kNotEqual},  {">=", Comparison::kGreaterEqual},
    {"<=", Comparison::kLessEqual}, {">", Comparison::kGreater},
    {"<", Comparison::kLess},
};

struct AggregateWord {
  const char* word;
  Aggregate aggregate;
};
constexpr AggregateWord kAggregates[] = {
    {"avg", Aggregate::kAverage}, {"min", Aggregate::kMin},     {"max", Aggregate::kMax},
    {"med", Aggregate::kMedian},  {"count", Aggregate::kCount}, {"rate", Aggregate::kRate},
    {"value", Aggregate::kValue},
};

Status parse_aggregate(std::string_view text, std::string_view word, ThresholdExpression& out) {
  for (const auto& known : kAggregates) {
    if (word != known.word) continue;
    out.aggregate = known.aggregate;
    return {};
  }
  if (word.starts_with("p(") && word.ends_with(")")) {
    const auto number = parse_double(trim(word.substr(2, word.size() - 3)));
    if (!number || *number < 0 || *number > 100)
      return wrong(text, concat("want a percentile from p(0) to p(100), got ", in_quotes(word)));
    out.aggregate = Aggregate::kPercentile;
    out.percentile = *number;
    return {};
  }
  return wrong(text, concat("want avg, min, max, med, p(N), count, rate or value in front, got ",
                            in_quotes(word)));
}

bool is_metric_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace

bool ThresholdExpression::met_by(double value) const {
  switch (comparison) {
    case Comparison::kGreater:
      return value > limit;
    case Comparison::kGreaterEqual:
      return value >= limit;
    case Comparison::kLess:
      return value < limit;
    case Comparison::kLessEqual:
      return value <= limit;
    case Comparison::kEqual:
      return value == limit;
    case Comparison::kNotEqual:
      return value != limit;
  }
  return false;
}

std::string ThresholdExpression::aggregate_text() const {
  if (aggregate == Aggregate::kPercentile) return fmt::format("p({:g})", percentile);
  for (const auto& known : kAggregates)
    if (known.aggregate == aggregate) return known.word;
  return "?";
}

Result<ThresholdExpression> parse_threshold_expression(std::string_view text) {
  text = trim(text);
  if (text.size() > kTextBytesMax)
    return wrong(text, concat("want at most ", kTextBytesMax, " bytes, got ", text.size()));
  const size_t at = text.find_first_of("<>=!");
  if (at == std::string_view::npos)
    return wrong(text, "want a comparison (> >= < <= == === !=), as in p(95)<500");
  const ComparisonWord* comparison = nullptr;
  for (const auto& known : kComparisons)
    if (comparison == nullptr && text.substr(at).starts_with(known.word)) comparison = &known;
  if (comparison == nullptr)
    return wrong(text,
                 concat("want one of > >= < <= == === !=, got ", in_quotes(text.substr(at, 2))));

  ThresholdExpression out{.text = std::string(text)};
  out.comparison = comparison->comparison;
  SIS_TRY(parse_aggregate(text, trim(text.substr(0, at)), out));
  const std::string_view number = trim(text.substr(at + std::string_view(comparison->word).size()));
  const auto limit = parse_double(number);
  if (!limit)
    return wrong(text,
                 concat("want a number behind ", comparison->word, ", got ", in_quotes(number)));
  out.limit = *limit;
  return out;
}

Result<MetricName> parse_metric_name(std::string_view text) {
  text = trim(text);
  if (text.size() > kTextBytesMax)
    return wrong(text, concat("want at most ", kTextBytesMax, " bytes, got ", text.size()));
  const size_t brace = text.find('{');
  MetricName out{.text = std::string(text), .base = std::string(trim(text.substr(0, brace)))};
  if (out.base.empty()) return wrong(text, "want a metric's name, as in http_req_duration");
  for (const char c : out.base)
    if (!is_metric_char(c))
      return wrong(text,
                   concat("want a metric's name of A-Z a-z 0-9 _, got ", in_quotes(out.base)));
  if (brace == std::string_view::npos) return out;
  if (!text.ends_with("}") || text.find_first_of("{}", brace + 1) != text.size() - 1)
    return wrong(text, "want one {tag:value,...} at the end");
  for (const std::string& tag : split(text.substr(brace + 1, text.size() - brace - 2), ',')) {
    const size_t colon = tag.find(':');
    if (colon == std::string::npos)
      return wrong(text, concat("want tag:value in the braces, got ", in_quotes(tag)));
    MetricTag parsed{std::string(trim(std::string_view(tag).substr(0, colon))),
                     std::string(trim(std::string_view(tag).substr(colon + 1)))};
    // k6 allows quotes around the value.
    if (parsed.value.size() >= 2 && (parsed.value.front() == '"' || parsed.value.front() == '\'') &&
        parsed.value.front() == parsed.value.back())
      parsed.value = parsed.value.substr(1, parsed.value.size() - 2);
    if (parsed.name.empty() || parsed.value.empty())
      return wrong(text, concat("want tag:value in the braces, got ", in_quotes(tag)));
    if (out.tags.size() == kTagsMax) return wrong(text, concat("want at most ", kTagsMax, " tags"));
    out.tags.push_back(std::move(parsed));
  }
  return out;
}

}  // namespace sis::perf
