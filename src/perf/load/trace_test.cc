#include "perf/load/trace.h"

#include <gtest/gtest.h>

namespace sis::perf {
namespace {

using std::chrono::milliseconds;

TEST(Trace, LinesAndArraysAreTheSame) {
  const TraceTimes want = {milliseconds(0), milliseconds(125), milliseconds(125),
                           milliseconds(2500)};
  for (const char* text : {"0\n0.125\n0.125\n2.5\n", "# made by hand\n\n0\r\n0.125\n 1.25e-1 \n2.5",
                           "[0, 0.125, 0.125, 2.5]", " [\n0,\n0.125,0.125 ,2.5\n]\n"}) {
    const auto trace = parse_trace(text, "t");
    ASSERT_TRUE(trace.ok()) << text << trace.error().message;
    EXPECT_EQ(**trace, want) << text;
  }
}

TEST(Trace, WrongFilesSayWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "t: no times"},
      {"# nothing\n", "t: no times"},
      {"[]", "t: no times"},
      {"1\n0.5\n", "t: line 2: 0.5 s is before the time ahead of it, 1 s"},
      {"1\nsoon\n", "t: line 2: want a time in seconds, 0..604800, got 'soon'"},
      {"-1", "t: line 1: want a time"},
      {"1e9", "t: line 1: want a time"},
      {"nan", "t: line 1: want a time"},
      {"[1, \"2\"]", "t: entry 2: want a time"},
      {"[1, , 2]", "t: entry 2: want a time"},
      {"[1, 2,]", "t: want a number after the last ','"},
      {"[1, 2", "t: the array has no ']'"},
      {"{\"a\":1}", "t: line 1: want a time"},
  };
  for (const auto& [text, want] : cases) {
    const auto trace = parse_trace(text, "t");
    ASSERT_FALSE(trace.ok()) << text;
    EXPECT_NE(trace.error().message.find(want), std::string::npos) << trace.error().message;
  }
  EXPECT_FALSE(read_trace("/nonexistent").ok());
}

}  // namespace
}  // namespace sis::perf
