#include "serve/tasks/stop_text.h"

#include <gtest/gtest.h>

#include <array>

#include "base/rng.h"
#include "base/strings.h"

namespace sis::tasks {
namespace {

struct Cut {
  std::string text;
  bool stopped = false;
};

Cut run(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopText stop(stops);
  Cut cut;
  for (const auto& piece : pieces)
    if (stop.push(piece, cut.text)) break;
  stop.flush(cut.text);
  cut.stopped = stop.stopped();
  return cut;
}

// What the header says, tried the slow way: at each byte, the longest stop string that ends there.
Cut expected(const std::vector<std::string>& stops, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const auto& stop : stops)
      if (!stop.empty() && std::string_view(text).substr(0, end).ends_with(stop))
        longest = std::max(longest, stop.size());
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

TEST(StopText, CutsAtTheFirstCompleteStop) {
  EXPECT_EQ(run({"END"}, {"one END two"}).text, "one ");
  EXPECT_EQ(run({"END"}, {"one E", "N", "D two"}).text, "one ");
  EXPECT_EQ(run({"END"}, {"one EN"}).text, "one EN");
  EXPECT_EQ(run({"abcd", "bc"}, {"xabcd"}).text, "xa");
  EXPECT_EQ(run({"c", "abc"}, {"xabc"}).text, "x");
  EXPECT_EQ(run({"", "\n\n"}, {"a\nb\n", "\nc"}).text, "a\nb");
  EXPECT_FALSE(run({}, {"anything"}).stopped);
}

// Only what may begin a stop string waits, and no longer than that.
TEST(StopText, HoldsBackNoMoreThanItMust) {
  StopText stop({"aab"});
  std::string out;
  EXPECT_FALSE(stop.push("xa", out));
  EXPECT_EQ(out, "x");
  EXPECT_FALSE(stop.push("aa", out));
  EXPECT_EQ(out, "xa");
  EXPECT_FALSE(stop.push("c", out));
  EXPECT_EQ(out, "xaaac");
  EXPECT_FALSE(stop.push("aa", out));
  EXPECT_TRUE(stop.push("b", out));
  EXPECT_EQ(out, "xaaac");
}

// What follows a flush is another text, what passes asleep is not looked at, and nothing is lost.
TEST(StopText, BeginsAnewAndSleeps) {
  StopText stop({"END"});
  std::string out;
  stop.sleep(true);
  EXPECT_FALSE(stop.push("END E", out));
  stop.sleep(false);
  EXPECT_FALSE(stop.push("ND E", out));
  EXPECT_EQ(stop.held(), 1u);
  stop.flush(out);
  EXPECT_FALSE(stop.push("ND ", out));
  EXPECT_EQ(out, "END END END ");
  EXPECT_EQ(stop.held(), 0u);
  EXPECT_TRUE(stop.push("aENDbc", out));
  EXPECT_TRUE(stop.push("d", out));
  EXPECT_EQ(out, "END END END a");
  EXPECT_EQ(stop.held(), 6u);
}

// Random texts over few letters, where borders overlap a lot, in random pieces.
TEST(StopText, EqualsTheSlowWayInAnyPieces) {
  Rng rng{7};
  const auto random_text = [&rng](size_t length) {
    std::string text;
    for (size_t i = 0; i < length; ++i)
      text += std::array<const char*, 4>{"a", "b", "\u00e9", "\u4e2d"}[rng.below(4)];
    return text;
  };
  int stopped = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops(1 + rng.below(3));
    for (auto& stop : stops) stop = random_text(1 + rng.below(5));
    const std::string text = random_text(rng.below(30));
    const Cut want = expected(stops, text);
    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size();) {
      pieces.push_back(text.substr(at, 1 + rng.below(4)));
      at += pieces.back().size();
    }
    const Cut got = run(stops, pieces);
    ASSERT_EQ(got.text, want.text) << text << " round " << round;
    ASSERT_EQ(got.stopped, want.stopped);
    stopped += got.stopped;
  }
  EXPECT_GT(stopped, 500);
}

}  // namespace
}  // namespace sis::tasks
