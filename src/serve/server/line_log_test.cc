#include "serve/server/line_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

namespace sis::server {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

// The first of a kind speaks at once, those of the next second together.
TEST(LineLog, SpeaksOnceASecondForAll) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ManualClock clock;
  {
    LineLog line({.model = "m", .queue_max = 4, .wait_max = from_seconds(2)}, clock,
                 telemetry::open_log({.fd = ends[1]}));
    line.full(4);
    for (int i = 0; i < 10; ++i) line.full(4);
    line.expired(2, 3, from_seconds(2.5));  // another kind, another second
    line.expired(1, 2, from_seconds(4));
    line.expired(1, 1, from_seconds(3));
    clock.advance(milliseconds(999));
    line.full(4);
    clock.advance(milliseconds(1));
    line.full(3);
    line.expired(1, 0, from_seconds(2.1));
  }
  ::close(ends[1]);
  std::string text(4096, '\0');
  text.resize(static_cast<size_t>(std::max<ssize_t>(0, ::read(ends[0], text.data(), text.size()))));
  ::close(ends[0]);
  std::vector<json> lines;
  std::istringstream in(text);
  for (std::string each; std::getline(in, each);) lines.push_back(json::parse(each));
  ASSERT_EQ(lines.size(), 4u) << text;
  const auto& [full, dropped, later, dropped_later] =
      std::tie(lines[0], lines[1], lines[2], lines[3]);
  EXPECT_EQ(full["message"], "chat_batch_queue_full");
  EXPECT_EQ(full["level"], "WARNING");
  EXPECT_EQ(full["model"], "m");
  EXPECT_EQ(full["refused"], 1);
  EXPECT_EQ(full["queue_size"], 4);
  EXPECT_EQ(full["max_queue_size"], 4);
  EXPECT_EQ(later["refused"], 12);
  EXPECT_EQ(later["queue_size"], 3);
  EXPECT_EQ(dropped["message"], "chat_batch_items_dropped_due_to_queue_wait");
  EXPECT_EQ(dropped["dropped"], 2);
  EXPECT_EQ(dropped["queue_size"], 3);
  EXPECT_EQ(dropped["queue_max_wait_sec"], 2);
  EXPECT_EQ(dropped["oldest_wait_sec"], 2.5);
  EXPECT_EQ(dropped_later["dropped"], 3);
  EXPECT_EQ(dropped_later["oldest_wait_sec"], 4);
}

}  // namespace
}  // namespace sis::server
