// Windows of several loops, handed over in any order.
#include "perf/load/run_windows.h"

#include <gtest/gtest.h>

namespace sis::perf {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart = TimePoint(seconds(1000));

// Passes on `ok` answers of window `number`.
void pass_on(WindowBox* box, uint64_t number, uint64_t ok, TimePoint ended = {}) {
  auto window = box->take_empty();
  window->number = number;
  window->own.ok = ok;
  window->own.latency.record(milliseconds(5), ok);
  window->users = 2;
  window->ended = ended;
  box->put(std::move(window));
}

struct Seen {
  int number;
  uint64_t ok;
  double length_s;
  int users;
  bool operator==(const Seen&) const = default;
};

TEST(WindowMerger, WaitsForEveryLoopAndKeepsTheOrder) {
  std::vector<Seen> seen;
  WindowMerger merger(
      {.window = seconds(1), .on_window = [&](const Window& window) {
         seen.push_back({window.number, window.total.ok, window.length_s, window.users});
         return true;
       }});
  WindowBox *a = merger.add_loop(), *b = merger.add_loop();
  std::vector<bool> ended = {false, false};
  pass_on(a, 0, 10);
  pass_on(a, 1, 11);
  EXPECT_TRUE(merger.collect(ended, kStart));
  EXPECT_TRUE(seen.empty());  // b is behind
  pass_on(b, 0, 20);
  merger.collect(ended, kStart);
  EXPECT_EQ(seen, (std::vector<Seen>{{0, 30, 1, 4}}));
  pass_on(b, 2, 22);  // b was away for a window
  merger.collect(ended, kStart);
  EXPECT_EQ(seen.back(), (Seen{1, 11, 1, 2}));
  ended[0] = true;  // a is done; its rest of window 2 lies in the box
  pass_on(a, 2, 12, kStart + milliseconds(2400));
  merger.collect(ended, kStart);
  EXPECT_EQ(seen.back(), (Seen{2, 34, 1, 4}));
  pass_on(b, 3, 5, kStart + milliseconds(3250));
  ended[1] = true;
  merger.collect(ended, kStart);
  EXPECT_EQ(seen.back(), (Seen{3, 5, 0.25, 2}));
  RunResult result;
  merger.finish(result);
  EXPECT_EQ(result.tally.ok, 80u);
  EXPECT_EQ(result.tally.latency.count(), 80u);
  ASSERT_EQ(result.windows.size(), 3u);
  EXPECT_EQ(result.windows[2].requests, 39u);  // with the rest
  EXPECT_DOUBLE_EQ(result.windows[2].length_s, 1.25);
  EXPECT_DOUBLE_EQ(result.windows[2].requests_per_s, 39 / 1.25);
  EXPECT_FALSE(result.ended_by_rule);
  EXPECT_EQ(result.tally.window_end, TimePoint{});  // a window's end is not the run's
}

TEST(WindowMerger, ShowsNothingAfterARuleButCountsIt) {
  int shown = 0;
  WindowMerger merger(
      {.window = seconds(1), .on_window = [&](const Window&) { return ++shown < 2; }});
  WindowBox* box = merger.add_loop();
  for (uint64_t number = 0; number < 5; ++number) pass_on(box, number, 1);
  EXPECT_FALSE(merger.collect({false}, kStart));
  EXPECT_EQ(shown, 2);
  RunResult result;
  merger.finish(result);
  EXPECT_TRUE(result.ended_by_rule);
  EXPECT_EQ(result.tally.ok, 5u);
}

TEST(WindowMerger, WithoutWindowsEverythingIsOne) {
  WindowMerger merger({.parts = 2, .on_window = [](const Window&) {
                         ADD_FAILURE();
                         return true;
                       }});
  WindowBox* box = merger.add_loop();
  auto window = box->take_empty();
  ASSERT_EQ(window->parts.size(), 2u);
  window->parts[0].ok = 3;
  window->parts[1].ok = 4;
  window->own.connects = 1;
  box->put(std::move(window));
  merger.collect({true}, kStart);
  RunResult result;
  merger.finish(result);
  EXPECT_EQ(result.tally.ok, 7u);
  EXPECT_EQ(result.tally.connects, 1u);
  EXPECT_EQ(result.parts[1].ok, 4u);
  EXPECT_TRUE(result.windows.empty());
}

}  // namespace
}  // namespace sis::perf
