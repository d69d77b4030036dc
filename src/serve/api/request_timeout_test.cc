#include "serve/api/request_timeout.h"

#include <gtest/gtest.h>

namespace sis::api {
namespace {

net::HttpRequest request(const char* header) {
  net::HttpRequest http;
  http.received_at = TimePoint(std::chrono::seconds(100));
  if (header) http.headers.emplace_back("x-request-timeout-ms", header);
  return http;
}

// The shorter of header and field, counted from the request's arrival; neither: no deadline.
TEST(RequestTimeout, TheShorterOneCounts) {
  using std::chrono::milliseconds;
  const TimePoint arrival(std::chrono::seconds(100));
  EXPECT_EQ(*request_deadline(request(nullptr)), TimePoint::max());
  EXPECT_EQ(*request_deadline(request("250")), arrival + milliseconds(250));
  EXPECT_EQ(*request_deadline(request("250"), milliseconds(100)), arrival + milliseconds(100));
  EXPECT_EQ(*request_deadline(request("250"), milliseconds(400)), arrival + milliseconds(250));
  EXPECT_EQ(*request_deadline(request(nullptr), milliseconds(400)), arrival + milliseconds(400));
}

TEST(RequestTimeout, RefusesWhatIsNoTime) {
  for (const char* bad : {"0", "-5", "1.5", "soon", "86400001", "9999999999999999999999"}) {
    const auto deadline = request_deadline(request(bad));
    ASSERT_FALSE(deadline.ok()) << bad;
    EXPECT_EQ(deadline.error().code, Code::kInvalidArgument);
    EXPECT_EQ(deadline.error().param, "X-Request-Timeout-Ms");
    EXPECT_NE(deadline.error().message.find(bad), std::string::npos) << deadline.error().message;
  }
  simdjson::dom::parser parser;
  const auto field = [&](const char* json) {
    return read_timeout_field(parser.parse(std::string_view(json)).value());
  };
  EXPECT_EQ(*field("2.5"), std::chrono::milliseconds(2500));
  EXPECT_EQ(*field("\"3\""), std::chrono::seconds(3));
  EXPECT_GT(*field("1e-12"), Duration::zero());
  for (const char* bad : {"0", "-1", "86401", "true", "[]", "\"x\"", "1e308"}) {
    const auto timeout = field(bad);
    ASSERT_FALSE(timeout.ok()) << bad;
    EXPECT_EQ(timeout.error().param, "timeout");
  }
}

}  // namespace
}  // namespace sis::api
