// What a terminal shows fits into it, whatever its width, and needs no colours or Unicode.
#include "perf/report/progress.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/strings.h"

namespace sis::perf {
namespace {

RunOptions options_of_100s() {
  RunOptions options{.url = *net::parse_url("http://localhost:8000"), .connections = 8};
  options.requests = 0;
  options.duration = from_seconds(100);
  return options;
}

// Without control sequences.
std::string plain(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b')
      while (text[i] != 'm') ++i;
    else
      out += text[i];
  }
  return out;
}

TEST(Sparkline, HeightsAreRelativeToTheHighest) {
  const double none = std::nan("");
  EXPECT_EQ(sparkline(std::vector<double>{0, 1, 4, 8, none, 8}, true), "▁▁▄█ █");
  EXPECT_EQ(sparkline(std::vector<double>{0, 1, 4, 8, none, 8}, false), "__-# #");
  EXPECT_EQ(sparkline(std::vector<double>{0, 0}, false), "__");
  EXPECT_EQ(sparkline({}, true), "");
}

TEST(ProgressBar, FillsWithTheShare) {
  EXPECT_EQ(progress_bar(0, 12, false), "[----------]");
  EXPECT_EQ(progress_bar(0.5, 12, false), "[#####-----]");
  EXPECT_EQ(progress_bar(7, 12, false), "[##########]");
  EXPECT_EQ(progress_bar(1, 4, true), "[██]");
}

TEST(LiveView, ShowsTheRun) {
  const Progress before{.elapsed_s = 24, .ok = 1000, .latency_sum_ms = 10'000, .users = 8};
  const Progress now{
      .elapsed_s = 25, .ok = 1240, .failed = 10, .latency_sum_ms = 12'400, .users = 8};
  const std::vector<double> p99 = {10, 20, 80};
  EXPECT_EQ(live_view("chat demo", options_of_100s(), before, now, p99, {.width = 80}),
            "chat demo  [#######-------------------]   25 %  25.0 s  ETA 1 min 15 s  8 users\n"
            "250 requests/s  mean 10.0 ms  p99 80.0 ms _.#  errors 10");
  const std::string colored =
      live_view("chat demo", options_of_100s(), before, now, p99, {.color = true, .width = 80});
  EXPECT_NE(colored.find("\x1b[31merrors 10\x1b[0m"), std::string::npos) << colored;
  EXPECT_EQ(
      live_view("chat demo", options_of_100s(), {}, {.warming = true, .ok = 12}, {}, {.width = 80}),
      "chat demo  warming up: 12 requests done");
}

TEST(LiveView, NeverWiderThanTheTerminal) {
  const Progress before{.elapsed_s = 24, .ok = 1000, .latency_sum_ms = 10'000, .users = 8};
  const Progress now{
      .elapsed_s = 25, .ok = 1'234'567, .failed = 1000, .latency_sum_ms = 12'400'000, .users = 8};
  const std::vector<double> p99(60, 123.4);
  for (int width = 20; width <= 200; ++width)
    for (const bool unicode : {false, true})
      for (const bool color : {false, true}) {
        const std::string view = plain(
            live_view("a rather long name of a model/for-testing", options_of_100s(), before, now,
                      p99, {.redraws = true, .color = color, .unicode = unicode, .width = width}));
        ASSERT_TRUE(is_utf8(view));
        const size_t line = view.find('\n');
        ASSERT_NE(line, std::string::npos);
        EXPECT_LT(columns_of(view.substr(0, line)), width) << view;
        EXPECT_LT(columns_of(view.substr(line + 1)), width) << view;
      }
}

TEST(Terminal, FollowsTheEnvironment) {
  const auto terminal = [](std::map<std::string, std::string> environment) {
    return terminal_of(stdin, [environment](const std::string& name) -> std::optional<std::string> {
      const auto found = environment.find(name);
      return found == environment.end() ? std::nullopt : std::optional(found->second);
    });
  };
  EXPECT_TRUE(terminal({{"LANG", "en_US.UTF-8"}}).unicode);
  EXPECT_FALSE(terminal({{"LANG", "en_US.UTF-8"}, {"LC_ALL", "C"}}).unicode);
  EXPECT_FALSE(terminal({}).unicode);
  EXPECT_FALSE(terminal_of(nullptr).redraws);
}

TEST(Terminal, TextsOfServersAreMadePrintable) {
  EXPECT_EQ(printable("a\x1b[2Jb\nc\x7f\xc2\x9b"
                      "d\xc3\xa4"),
            "a?[2Jb?c??d\xc3\xa4");
  EXPECT_EQ(cut_to("abcdef", 4, false), "abc>");
  EXPECT_EQ(cut_to("äöüß", 3, true), "äö…");
  EXPECT_EQ(cut_to("äöü", 3, true), "äöü");
}

}  // namespace
}  // namespace sis::perf
