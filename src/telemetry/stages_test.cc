#include "telemetry/stages.h"

#include <gtest/gtest.h>

namespace sis::telemetry {
namespace {

TEST(Stages, MarksSplitTheTimeAndTheHeaderNamesThem) {
  ManualClock clock;
  StageTimer timer(clock.now());
  clock.advance(from_ms(1.5));
  timer.mark(Stage::kParse, clock.now());
  clock.advance(from_ms(4));
  timer.mark(Stage::kQueue, clock.now());
  clock.advance(from_ms(8));
  timer.skip_to(clock.now());
  timer.place(Stage::kCompute, clock.now() - from_ms(7), from_ms(7));
  clock.advance(from_ms(0.25));
  timer.mark(Stage::kWrite, clock.now());
  EXPECT_EQ(timer.spent(Stage::kQueue), from_ms(4));
  EXPECT_EQ(timer.began(Stage::kQueue), timer.start() + from_ms(1.5));
  EXPECT_EQ(timer.began(Stage::kCompute), timer.start() + from_ms(6.5));
  EXPECT_EQ(
      timer.server_timing(clock.now()),
      "parse;dur=1.500, queue;dur=4.000, compute;dur=7.000, write;dur=0.250, total;dur=13.750");
  EXPECT_EQ(StageTimer(clock.now()).server_timing(clock.now()), "total;dur=0.000");
}

}  // namespace
}  // namespace sis::telemetry
