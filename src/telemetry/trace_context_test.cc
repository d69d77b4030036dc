#include "telemetry/trace_context.h"

#include <gtest/gtest.h>

#include <set>

#include "telemetry/tracer.h"

namespace sis::telemetry {
namespace {

constexpr std::string_view kGood = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceContext, IdsDifferAndAreNeverZero) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_NE(make_trace_id(), TraceId{});
    EXPECT_NE(make_span_id(), SpanId{});
    seen.insert(to_hex(make_trace_id()));
    seen.insert(to_hex(make_span_id()));
  }
  EXPECT_EQ(seen.size(), 2000u);
  EXPECT_EQ(seen.begin()->find_first_not_of("0123456789abcdef"), std::string::npos);
}

TEST(TraceContext, TraceparentComesBackAsItWas) {
  const auto context = parse_traceparent(kGood);
  ASSERT_TRUE(context);
  EXPECT_EQ(to_hex(context->trace_id), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(to_hex(context->span_id), "b7ad6b7169203331");
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(format_traceparent(*context), kGood);
  EXPECT_FALSE(
      parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")->sampled);
  // Other bits of the flags say nothing about sampling; a later version may say more.
  EXPECT_TRUE(
      parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03")->sampled);
  EXPECT_TRUE(parse_traceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"));
}

// Every byte cut off or changed to something that is not allowed there makes it no traceparent.
TEST(TraceContext, AnythingElseIsNone) {
  for (size_t size = 0; size < kGood.size(); ++size)
    EXPECT_FALSE(parse_traceparent(kGood.substr(0, size))) << size;
  for (size_t at = 0; at < kGood.size(); ++at)
    for (const char c : {'g', 'A', ' ', '\0', '\xff'}) {
      std::string broken(kGood);
      broken[at] = c;
      EXPECT_FALSE(parse_traceparent(broken)) << at << " " << int(c);
    }
  for (const char* broken : {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                             "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                             "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                             "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
                             "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
                             "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more"})
    EXPECT_FALSE(parse_traceparent(broken)) << broken;
  EXPECT_FALSE(parse_traceparent(std::string(1 << 20, '0')));
}

std::string state(std::vector<std::string_view> headers) { return parse_tracestate(headers); }

TEST(TraceContext, TracestateIsJoinedOrDropped) {
  EXPECT_EQ(state({}), "");
  EXPECT_EQ(state({"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"}),
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
  EXPECT_EQ(state({"a=1 ,, b=2", "tenant@vendor=x:y z"}), "a=1,b=2,tenant@vendor=x:y z");
  for (const char* broken :
       {"a", "=1", "a=", "A=1", "a=1,a=2", "a=b=c", "a=\x7f", "a=\xc3\xa4", "a b=1", "a=1,b"})
    EXPECT_EQ(state({broken}), "") << broken;
  std::string many, one;
  for (int i = 0; i < 32; ++i) many += (i ? ",k" : "k") + std::to_string(i) + "=v";
  EXPECT_EQ(state({many}), many);
  EXPECT_EQ(state({many, "more=1"}), "");
  EXPECT_EQ(state({"k=" + std::string(256, 'v')}).size(), 258u);
  EXPECT_EQ(state({"k=" + std::string(257, 'v')}), "");
  EXPECT_EQ(state({std::string(256, 'k') + "=v"}).size(), 258u);
  EXPECT_EQ(state({std::string(257, 'k') + "=v"}), "");
  for (int i = 0; i < 9; ++i)
    one += (i ? ",k" : "k") + std::to_string(i) + "=" + std::string(250, 'v');
  EXPECT_EQ(state({one}), "");  // over 2,048 bytes
  EXPECT_EQ(state({std::string(1 << 20, ',')}), "");
}

TEST(TraceContext, RatioKeepsItsShareById) {
  int kept = 0;
  for (int i = 0; i < 20000; ++i) {
    const TraceId id = make_trace_id();
    const bool quarter = keeps_trace(id, 0.25);
    kept += quarter;
    EXPECT_EQ(quarter, keeps_trace(id, 0.25));
    EXPECT_TRUE(!quarter || keeps_trace(id, 0.5));  // what a small share has, a larger one has too
    EXPECT_TRUE(keeps_trace(id, 1));
    EXPECT_FALSE(keeps_trace(id, 0));
    EXPECT_FALSE(keeps_trace(id, std::numeric_limits<double>::quiet_NaN()));
  }
  EXPECT_NEAR(kept, 5000, 400);  // over six standard deviations
}

class Swallow final : public SpanTransport {
 public:
  Answer send(const std::string&, Duration) override { return {}; }
};

TEST(Tracer, TheCallerDecidesElseTheRatio) {
  SpanExporter exporter({}, {}, std::make_unique<Swallow>(), {});
  const Tracer none, all(1, &exporter), nothing(0, &exporter);
  const std::string_view sampled[] = {kGood};
  const std::string_view unsampled[] = {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"};
  const std::string_view twice[] = {kGood, kGood};
  const std::string_view states[] = {"a=1"};

  auto begun = nothing.begin(sampled, states);
  EXPECT_TRUE(begun.record);
  EXPECT_EQ(to_hex(begun.own.trace_id), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(to_hex(begun.parent), "b7ad6b7169203331");
  EXPECT_NE(begun.own.span_id, begun.parent);
  EXPECT_EQ(begun.own.state, "a=1");

  EXPECT_FALSE(all.begin(unsampled, {}).record);
  EXPECT_TRUE(all.begin({}, {}).record);
  EXPECT_EQ(all.begin({}, {}).parent, SpanId{});
  EXPECT_FALSE(nothing.begin({}, {}).record);
  EXPECT_FALSE(nothing.begin({}, {}).own.sampled);

  begun = all.begin(twice, states);  // which one is meant?
  EXPECT_EQ(begun.parent, SpanId{});
  EXPECT_EQ(begun.own.state, "");
  EXPECT_NE(to_hex(begun.own.trace_id), "0af7651916cd43dd8448eb211c80319c");

  // Off: nothing is recorded, the caller's decision is passed on.
  EXPECT_FALSE(none.begin(sampled, {}).record);
  EXPECT_TRUE(none.begin(sampled, {}).own.sampled);
  EXPECT_FALSE(none.begin({}, {}).own.sampled);
}

}  // namespace
}  // namespace sis::telemetry
