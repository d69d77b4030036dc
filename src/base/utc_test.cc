#include "base/utc.h"

#include <gtest/gtest.h>

#include <ctime>

namespace sis {
namespace {

TEST(Utc, TextOfATime) {
  EXPECT_EQ(utc_text(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(utc_text(-1), "1969-12-31T23:59:59Z");
  EXPECT_EQ(utc_text(1'801'353'599), "2027-01-30T23:59:59Z");
}

// The text stands between the times before and after it was asked for.
TEST(Utc, Now) {
  const std::string before = utc_text(std::time(nullptr));
  const std::string now = utc_now();
  EXPECT_GE(now, before);
  EXPECT_LE(now, utc_text(std::time(nullptr)));
}

}  // namespace
}  // namespace sis
