#include "perf/load/tally.h"

#include <gtest/gtest.h>

#include <array>

#include "base/strings.h"

namespace sis::perf {
namespace {

using std::chrono::milliseconds;

TimePoint at(int ms) { return TimePoint(milliseconds(1000 + ms)); }

constexpr std::array<Duration, 3> kGaps = {milliseconds(10), milliseconds(10), milliseconds(40)};

// Sent at 0, content at 100, 110, 120 and 160 ms, done at 170 ms, 8 tokens.
struct ExampleAnswer {
  std::array<TimePoint, 4> pieces = {at(100), at(110), at(120), at(160)};
  Generation generation{.output_tokens = 8, .counted_by_server = true, .cached_tokens = 5};
  ExampleAnswer() {
    generation.pieces = pieces;
    generation.gaps = kGaps;
    generation.per_token = milliseconds(9);
  }
};

TEST(GenerationTally, TimesCountFromTheIntendedSend) {
  const ExampleAnswer answer;
  GenerationTally tally;
  tally.note(answer.generation, at(0), at(170), TimePoint::max(), {});
  tally.note(answer.generation, at(-50), at(170), TimePoint::max(), {});  // waited 50 ms
  EXPECT_EQ(tally.ttft.count(), 2u);
  EXPECT_NEAR(tally.ttft.min_ms(), 100, 1e-9);
  EXPECT_NEAR(tally.ttft.max_ms(), 150, 1e-9);
  EXPECT_EQ(tally.itl.count(), 6u);
  EXPECT_NEAR(tally.itl.max_ms(), 40, 1e-9);
  EXPECT_EQ(tally.tpot.count(), 2u);
  EXPECT_EQ(tally.output_tokens, 16u);
  EXPECT_EQ(tally.output_tokens_min, 8u);
  EXPECT_EQ(tally.cached_tokens, 10u);
  EXPECT_EQ(tally.slo_met, 0u);  // none was wanted
}

TEST(GenerationTally, AnAnswerOverTheWindowsEndCountsInPart) {
  const ExampleAnswer answer;
  const auto in_window = [&](int end_ms) {
    GenerationTally tally;
    tally.note(answer.generation, at(0), at(170), at(end_ms), {.ttft = milliseconds(100)});
    EXPECT_EQ(tally.output_tokens, 8u);
    EXPECT_EQ(tally.slo_met, 1u);
    EXPECT_EQ(tally.slo_met_in_window, end_ms >= 170 ? 1u : 0u);
    return tally.output_tokens_in_window;
  };
  EXPECT_EQ(in_window(99), 0u);
  EXPECT_EQ(in_window(100), 2u);
  EXPECT_EQ(in_window(130), 6u);
  EXPECT_EQ(in_window(165), 8u);
  EXPECT_EQ(in_window(170), 8u);
  GenerationTally whole;  // not streamed: nobody knows when its tokens came
  whole.note({.output_tokens = 8}, at(0), at(170), at(169), {});
  EXPECT_EQ(whole.output_tokens_in_window, 0u);
}

TEST(GenerationTally, WithoutContentThereIsNoFirstTokenAndNoLimitKept) {
  GenerationTally tally;
  tally.note({.output_tokens = 1}, at(0), at(5), TimePoint::max(), {.ttft = milliseconds(100)});
  EXPECT_EQ(tally.without_content, 1u);
  EXPECT_TRUE(tally.ttft.empty());
  EXPECT_EQ(tally.slo_met, 0u);
}

TEST(Slo, OneGapInAHundredMayBeLonger) {
  const Slo both{.ttft = milliseconds(100), .itl = milliseconds(20)};
  EXPECT_TRUE(both.met_by(milliseconds(100), {}));
  EXPECT_FALSE(both.met_by(milliseconds(101), {}));
  std::vector<Duration> gaps(99, milliseconds(20));
  EXPECT_TRUE(both.met_by(milliseconds(1), gaps));
  gaps[5] = milliseconds(21);
  EXPECT_FALSE(both.met_by(milliseconds(1), gaps));
  gaps.push_back(milliseconds(1));
  EXPECT_TRUE(both.met_by(milliseconds(1), gaps));
  gaps[6] = milliseconds(21);
  EXPECT_FALSE(both.met_by(milliseconds(1), gaps));
  EXPECT_TRUE((Slo{.ttft = milliseconds(100)}.met_by(milliseconds(1), gaps)));
  EXPECT_TRUE((Slo{.itl = milliseconds(21)}.met_by(std::chrono::hours(1), gaps)));
  EXPECT_FALSE(Slo{}.wanted());
}

TEST(GenerationTally, MergeEqualsNotingTogether) {
  const ExampleAnswer answer;
  const Slo slo{.itl = milliseconds(50)};
  GenerationTally a, b, together;
  for (int i = 0; i < 10; ++i) {
    Generation generation = answer.generation;
    generation.output_tokens = i + 1;
    generation.cached_tokens = i % 2 == 0 ? -1 : i;
    (i % 3 == 0 ? a : b).note(generation, at(-i), at(170), at(165 + i), slo);
    together.note(generation, at(-i), at(170), at(165 + i), slo);
  }
  a.merge(b);
  a.merge(GenerationTally());
  EXPECT_EQ(a.answers, 10u);
  EXPECT_EQ(a.counted_by_server, together.counted_by_server);
  EXPECT_EQ(a.output_tokens, 55u);
  EXPECT_EQ(a.output_tokens_min, 1u);
  EXPECT_EQ(a.output_tokens_max, 10u);
  EXPECT_EQ(a.output_tokens_in_window, together.output_tokens_in_window);
  EXPECT_EQ(a.cached_tokens, 25u);
  EXPECT_EQ(a.answers_with_cached_tokens, 5u);
  EXPECT_EQ(a.slo_met, 10u);
  EXPECT_EQ(a.slo_met_in_window, together.slo_met_in_window);
  EXPECT_EQ(a.ttft.count(), 10u);
  EXPECT_EQ(a.itl.count(), 30u);
  EXPECT_DOUBLE_EQ(a.tpot.mean_ms(), 9);
}

TEST(Tally, ResetIsAsNew) {
  Tally tally;
  for (Histogram* histogram : tally.histograms()) histogram->record(milliseconds(5));
  tally.ok = 7;
  tally.statuses[200] = 7;
  tally.note_message(1, 0.5, "no", 5);
  tally.reset();
  EXPECT_EQ(tally.ok, 0u);
  EXPECT_EQ(tally.statuses[200], 0u);
  EXPECT_TRUE(tally.errors.empty());
  EXPECT_TRUE(tally.messages.empty());
  EXPECT_EQ(tally.generation.output_tokens_min, UINT64_MAX);
  for (Histogram* histogram : tally.histograms()) {
    EXPECT_TRUE(histogram->empty());
    histogram->record(milliseconds(1));
    EXPECT_DOUBLE_EQ(histogram->quantile_ms(1), 1);
  }
}

// However many tallies with however many messages are merged, few texts are kept.
TEST(Tally, MergingKeepsMessagesFew) {
  Tally whole;
  for (int i = 0; i < 500; ++i) {
    Tally part;
    part.note_message(1, 0, concat("message ", i % 100), 0);
    whole.merge(part);
  }
  EXPECT_EQ(whole.messages.size(), Tally::kMessagesMax);
  EXPECT_EQ(whole.other_messages, (100 - Tally::kMessagesMax) * 5);
}

}  // namespace
}  // namespace sis::perf
