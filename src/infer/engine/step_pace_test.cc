#include "infer/engine/step_pace.h"

#include <gtest/gtest.h>

namespace sis::engine {
namespace {

TEST(StepPace, KnowsNothingAtFirst) {
  StepPace pace(2, 256);
  EXPECT_EQ(pace.prefill_max(8, 1, from_ms(10)), 256);
  pace.note(0, 8, from_ms(20));
  EXPECT_EQ(pace.prefill_max(8, 1, from_ms(10)), 256);  // the price of prompt tokens is unknown
}

TEST(StepPace, AStepTakesTwiceADecodeForEachPrompt) {
  StepPace pace(2, 256);
  pace.note(0, 8, from_ms(20));
  pace.note(256, 8, from_ms(20 + 256 * 0.4));  // 0.4 ms a token
  EXPECT_EQ(pace.prefill_max(8, 1, {}), 50);
  EXPECT_EQ(pace.prefill_max(8, 3, {}), 150);
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

TEST(StepPace, OneSlowStepChangesLittle) {
  StepPace pace(2, 4096);
  pace.note(0, 1, from_ms(100));
  pace.note(100, 0, from_ms(50));
  EXPECT_EQ(pace.prefill_max(1, 1, {}), 200);
  pace.note(100, 0, from_ms(100));
  EXPECT_GT(pace.prefill_max(1, 1, {}), 170);
}

}  // namespace
}  // namespace sis::engine
