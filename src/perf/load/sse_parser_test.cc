#include "perf/load/sse_parser.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace sis::perf {
namespace {

using Events = std::vector<std::pair<std::string, std::string>>;  // name, data

Events parse(SseParser& parser, const std::vector<std::string_view>& parts) {
  Events events;
  parser.begin();
  for (const std::string_view part : parts)
    EXPECT_TRUE(parser.feed(
        part, [&](const SseEvent& event) { events.emplace_back(event.name, event.data); }));
  return events;
}

// Line ends of all three kinds, comments, names, several data lines, a byte order mark, wherever
// the stream is cut in two or three.
TEST(SseParser, AnySplitGivesTheSameEvents) {
  const std::string stream =
      "\xEF\xBB\xBF: hello\n\ndata: one\n\n"
      "data:two\r\ndata:  and a half\r\n\r\n"
      ": keep-alive\r\n\r\nevent: error\rdata: three\r\r"
      "id: 7\nretry: 10\ndata\n\n"
      "event: nothing\n\nunknown: x\ndata: four\n\n\n\ndata: cut off\n";
  const Events want = {
      {"", "one"}, {"", "two\n and a half"}, {"error", "three"}, {"", ""}, {"", "four"}};
  SseParser parser;
  const std::string_view all = stream;
  EXPECT_EQ(parse(parser, {all}), want);
  for (size_t i = 0; i <= all.size(); ++i)
    for (size_t j = i; j <= all.size(); j += 7)
      ASSERT_EQ(parse(parser, {all.substr(0, i), all.substr(i, j - i), all.substr(j)}), want)
          << i << " " << j;
  EXPECT_TRUE(parser.inside_event());
  std::vector<std::string_view> bytes;
  for (size_t i = 0; i < all.size(); ++i) bytes.push_back(all.substr(i, 1));
  EXPECT_EQ(parse(parser, bytes), want);
}

TEST(SseParser, KeepsWhatIsNoEvent) {
  SseParser parser;
  EXPECT_TRUE(parse(parser, {"{\"error\":", "\"no streams\"}"}).empty());
  EXPECT_EQ(parser.stray_line(), "{\"error\":\"no streams\"}");
  EXPECT_TRUE(parse(parser, {"<html>\n<body>\n"}).empty());
  EXPECT_EQ(parser.stray_line(), "<html>");
  EXPECT_EQ(parse(parser, {"data: a\n\n"}).size(), 1u);
  EXPECT_EQ(parser.stray_line(), "");
  EXPECT_FALSE(parser.inside_event());
}

TEST(SseParser, SizesAreBounded) {
  SseParser parser;
  const auto ignore = [](const SseEvent&) {};
  const std::string large(SseParser::kEventBytesMax / 4, 'x');
  const auto fed = [&](std::string_view before, std::string_view after) {
    parser.begin();
    int parts = 0;
    while (parts < 100 && parser.feed(before, ignore) && parser.feed(large, ignore) &&
           parser.feed(after, ignore))
      ++parts;
    return parts;
  };
  EXPECT_EQ(fed("data: ", "\n"), 3);       // one event of many lines
  EXPECT_LE(fed("data: ", ""), 4);         // one line
  EXPECT_LE(fed(": comment", ""), 4);      // a comment without end
  EXPECT_EQ(fed("data: ", "\n\n"), 100);   // many events
  EXPECT_EQ(fed(": comment", "\n"), 100);  // many comments
}

}  // namespace
}  // namespace sis::perf
