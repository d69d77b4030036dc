// Checks of answers pass what they should and say what was there instead.
#include "perf/load/answer_checks.h"

#include <gtest/gtest.h>

namespace sis::perf {
namespace {

constexpr const char* kBody =
    R"({"status":"ok","n":5,"on":true,"none":null,"a":[{"b.c":1,"x":"y"},2],"5":"6"})";

std::string check(const char* json, const char* text = nullptr) {
  AnswerChecks checks;
  if (json != nullptr && !checks.add_json(json).ok()) return "refused";
  if (text != nullptr && !checks.add_text(text).ok()) return "refused";
  return AnswerChecks::Checker(checks).check(kBody);
}

TEST(AnswerChecks, PassWhatIsThere) {
  for (const char* good : {"status=ok", "status", "n=5", "n=5.0", "on=true", "none=null",
                           "a[0].x=y", "a[1]=2", "5=\"6\"", "status=\"ok\""})
    EXPECT_EQ(check(good), "") << good;
  EXPECT_EQ(check(nullptr, "\"status\":\"ok\""), "");
}

TEST(AnswerChecks, SayWhatWasFound) {
  EXPECT_EQ(check("status=bad"), "status: want bad, found a string '\"ok\"'");
  EXPECT_EQ(check("n=6"), "n: want 6, found a number '5'");
  EXPECT_EQ(check("n=\"5\""), "n: want 5, found a number '5'");
  EXPECT_EQ(check("on=false"), "on: want false, found a boolean 'true'");
  EXPECT_NE(check("a[2]").find("body without a[2]"), std::string::npos);
  EXPECT_NE(check("status.deeper=1").find("body without status.deeper"), std::string::npos);
  EXPECT_NE(check(nullptr, "goodbye").find("body without 'goodbye'"), std::string::npos);
  AnswerChecks checks;
  ASSERT_TRUE(checks.add_json("a").ok());
  EXPECT_NE(AnswerChecks::Checker(checks).check("<html>").find("not JSON"), std::string::npos);
}

TEST(AnswerChecks, RefusePathsThatAreNone) {
  for (const char* wrong : {"", "=1", "a[", "a[x]", "a..b", "a.", "[-1]", "a[0]."})
    EXPECT_EQ(check(wrong), "refused") << wrong;
  EXPECT_EQ(check(nullptr, ""), "refused");
}

}  // namespace
}  // namespace sis::perf
