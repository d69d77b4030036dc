// The grammar of thresholds: what k6 accepts is accepted, what it refuses is refused with the
// reason.
#include <gtest/gtest.h>

#include "perf/gate/threshold_expression.h"

namespace sis::perf {
namespace {

TEST(ThresholdExpression, ReadsEveryAggregateAndComparison) {
  struct Case {
    const char* text;
    Aggregate aggregate;
    const char* shown;
    Comparison comparison;
    double limit;
  };
  const Case cases[] = {
      {"avg<200", Aggregate::kAverage, "avg", Comparison::kLess, 200},
      {"min>=0", Aggregate::kMin, "min", Comparison::kGreaterEqual, 0},
      {"max <= 1e3", Aggregate::kMax, "max", Comparison::kLessEqual, 1000},
      {"med<1.5", Aggregate::kMedian, "med", Comparison::kLess, 1.5},
      {"p(95)<500", Aggregate::kPercentile, "p(95)", Comparison::kLess, 500},
      {" p(99.99) < 500 ", Aggregate::kPercentile, "p(99.99)", Comparison::kLess, 500},
      {"count>100", Aggregate::kCount, "count", Comparison::kGreater, 100},
      {"rate==0.5", Aggregate::kRate, "rate", Comparison::kEqual, 0.5},
      {"rate===0.5", Aggregate::kRate, "rate", Comparison::kEqual, 0.5},
      {"value!=-3", Aggregate::kValue, "value", Comparison::kNotEqual, -3},
  };
  for (const Case& want : cases) {
    const auto got = parse_threshold_expression(want.text);
    ASSERT_TRUE(got.ok()) << want.text << ": " << got.error().message;
    EXPECT_EQ(got->aggregate, want.aggregate) << want.text;
    EXPECT_EQ(got->aggregate_text(), want.shown);
    EXPECT_EQ(got->comparison, want.comparison) << want.text;
    EXPECT_EQ(got->limit, want.limit) << want.text;
  }
}

TEST(ThresholdExpression, Compares) {
  const auto met = [](const char* text, double value) {
    return parse_threshold_expression(text).value().met_by(value);
  };
  EXPECT_TRUE(met("avg<2", 1.99));
  EXPECT_FALSE(met("avg<2", 2));
  EXPECT_TRUE(met("avg<=2", 2));
  EXPECT_FALSE(met("avg>2", 2));
  EXPECT_TRUE(met("avg>=2", 2));
  EXPECT_TRUE(met("avg==2", 2));
  EXPECT_FALSE(met("avg!=2", 2));
}

TEST(ThresholdExpression, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "want a comparison"},
      {"p(95)", "want a comparison"},
      {"p95<200", "want avg, min, max, med, p(N), count, rate or value in front, got 'p95'"},
      {"p(101)<200", "want a percentile from p(0) to p(100)"},
      {"p(x)<200", "want a percentile"},
      {"p()<200", "want a percentile"},
      {"<200", "in front, got ''"},
      {"avg=200", "want one of > >= < <= == === !=, got '=2'"},
      {"avg<", "want a number behind <, got ''"},
      {"avg<nan", "want a number"},
      {"avg<200ms", "want a number behind <, got '200ms'"},
      {"avg<2<3", "want a number"},
  };
  for (const auto& [text, want] : cases) {
    const auto got = parse_threshold_expression(text);
    ASSERT_FALSE(got.ok()) << text;
    EXPECT_NE(got.error().message.find(want), std::string::npos) << got.error().message;
  }
  EXPECT_FALSE(parse_threshold_expression(std::string(300, ' ') + std::string(300, 'x')).ok());
}

TEST(MetricName, ReadsTags) {
  const auto plain = parse_metric_name("http_reqs");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->base, "http_reqs");
  EXPECT_TRUE(plain->tags.empty());
  const auto tagged = parse_metric_name("http_reqs{ scenario:load test, expected_response:'true'}");
  ASSERT_TRUE(tagged.ok()) << tagged.error().message;
  EXPECT_EQ(tagged->base, "http_reqs");
  ASSERT_EQ(tagged->tags.size(), 2u);
  EXPECT_EQ(tagged->tags[0].name, "scenario");
  EXPECT_EQ(tagged->tags[0].value, "load test");
  EXPECT_EQ(tagged->tags[1].value, "true");
  for (const char* wrong : {"", "{scenario:x}", "http reqs", "a{b}", "a{b:}", "a{:c}", "a{b:c",
                            "a{b:c}d", "a{b:{c}}", "a{}", "a{1:1,1:1,1:1,1:1,1:1,1:1,1:1,1:1,1:1}"})
    EXPECT_FALSE(parse_metric_name(wrong).ok()) << wrong;
}

}  // namespace
}  // namespace sis::perf
