#include "infer/engine/step_pace.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sis::engine {
namespace {

TEST(StepPace, KnowsNothingAtFirst) {
  StepPace pace(2, 256);
  EXPECT_EQ(pace.prefill_max(8, 1, from_ms(10)), 256);
  pace.note(0, 8, from_ms(20));
  EXPECT_EQ(pace.prefill_max(8, 1, from_ms(10)), 256);  // the price of prompt tokens is unknown
}

TEST(StepPace, AStepTakesNearlyTwiceADecodeForEachPrompt) {
  StepPace pace(2, 256);
  pace.note(0, 8, from_ms(20));
  pace.note(256, 8, from_ms(20 + 256 * 0.4));  // 0.4 ms a token
  EXPECT_EQ(pace.prefill_max(8, 1, {}), 45);
  EXPECT_EQ(pace.prefill_max(8, 3, {}), 135);
  EXPECT_EQ(pace.prefill_max(8, 100, {}), 256);
  EXPECT_EQ(pace.prefill_max(0, 1, {}), 256);  // nobody reads
  EXPECT_EQ(pace.prefill_max(0, 1, from_ms(40)), 100);
  EXPECT_EQ(pace.prefill_max(8, 5, from_ms(16)), 40);
  EXPECT_EQ(pace.prefill_max(8, 1, from_ms(1)), 32);  // never less
}

TEST(StepPace, StretchOffAndSmallSteps) {
  StepPace pace(0, 16);
  pace.note(0, 8, from_ms(20));
  for (int i = 0; i < 3; ++i) pace.note(64, 8, from_ms(40));
  EXPECT_EQ(pace.prefill_max(8, 1, {}), 16);
  EXPECT_EQ(pace.prefill_max(8, 1, from_ms(1)), 16);
}

TEST(StepPace, ASlowStepIsForgottenInAFewQuickOnes) {
  StepPace pace(2, 4096);
  pace.note(0, 1, from_ms(100));
  pace.note(100, 0, from_ms(50));
  EXPECT_EQ(pace.prefill_max(1, 1, {}), 180);
  pace.note(100, 0, from_ms(100));
  EXPECT_EQ(pace.prefill_max(1, 1, {}), 120);
  for (int i = 0; i < 8; ++i) pace.note(100, 0, from_ms(50));
  EXPECT_GT(pace.prefill_max(1, 1, {}), 150);
}

TEST(StepPace, OneSlowDecodeChangesLittle) {
  StepPace pace(2, 4096);
  pace.note(0, 1, from_ms(100));
  pace.note(100, 0, from_ms(50));
  pace.note(0, 1, from_ms(200));
  EXPECT_LT(pace.prefill_max(1, 1, {}), 205);
}

// Tokens that cost three times as much at the prompt's end as at its begin: no step is late.
TEST(StepPace, KeepsUpWithAPromptThatGrowsDear) {
  const double decode_ms = 150;
  StepPace pace(2, 4096);
  pace.note(0, 32, from_ms(decode_ms));
  const auto token_ms = [](int32_t position) { return 1.2 + 2.4 * position / 4096; };
  pace.note(64, 32, from_ms(decode_ms + 64 * token_ms(0)));
  for (int32_t position = 64; position < 4096;) {
    const int32_t tokens = std::min(4096 - position, pace.prefill_max(32, 1, {}));
    const double took_ms = decode_ms + tokens * token_ms(position + tokens / 2);
    EXPECT_LT(took_ms, 2 * decode_ms) << "at token " << position;
    if (position + tokens < 4096) {
      EXPECT_GT(took_ms, 1.75 * decode_ms) << "at token " << position;
    }
    pace.note(tokens, 32, from_ms(took_ms));
    position += tokens;
  }
}

}  // namespace
}  // namespace sis::engine
