#include "serve/admission/turnover.h"

#include <gtest/gtest.h>

namespace sis::admission {
namespace {

using std::chrono::milliseconds;

// A place every 50 ms: the first refused is told 50 ms, the next 100, and so on; after the promised
// places have come it begins anew.
TEST(Turnover, EachRefusalIsToldOfItsOwnPlace) {
  ManualClock clock;
  Turnover turnover;
  EXPECT_EQ(turnover.interval(), std::chrono::seconds(1));
  turnover.enter(clock.now());
  for (int i = 0; i < 200; ++i) {
    turnover.enter(clock.now());
    clock.advance(milliseconds(50));
    turnover.leave(clock.now());
  }
  EXPECT_NEAR(to_ms(turnover.interval()), 50, 2);
  const auto now = clock.now();
  EXPECT_NEAR(to_ms(turnover.hint(now)), 50, 2);
  EXPECT_NEAR(to_ms(turnover.hint(now)), 100, 4);
  EXPECT_NEAR(to_ms(turnover.hint(now)), 150, 6);
  clock.advance(std::chrono::seconds(1));
  EXPECT_NEAR(to_ms(turnover.hint(clock.now())), 50, 2);
  for (int i = 0; i < 1000; ++i) EXPECT_LE(turnover.hint(clock.now()), std::chrono::seconds(10));
}

// A batch that ends together counts with the time it took together; idle time does not count.
TEST(Turnover, BatchesAndPauses) {
  ManualClock clock;
  Turnover turnover;
  for (int batch = 0; batch < 100; ++batch) {
    for (int i = 0; i < 10; ++i) turnover.enter(clock.now());
    clock.advance(milliseconds(100));
    for (int i = 0; i < 10; ++i) turnover.leave(clock.now());
    clock.advance(milliseconds(700));
  }
  EXPECT_NEAR(to_ms(turnover.interval()), 10, 1);
}

}  // namespace
}  // namespace sis::admission
