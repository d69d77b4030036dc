#include "serve/admission/gate.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>
#include <vector>

namespace sis::admission {
namespace {

using std::chrono::milliseconds;
using Refusal = GateObserver::Refusal;

struct Counts final : GateObserver {
  void on_refused(Refusal why, const Lane*) override {
    const std::lock_guard lock(mutex);
    ++refused[why];
  }
  std::mutex mutex;
  std::map<Refusal, int> refused;
};

class GateTest : public testing::Test {
 protected:
  std::unique_ptr<Gate> gate(const LimiterOptions& limits) {
    return std::make_unique<Gate>(
        GateOptions{.capability = "embedding", .queue_setting = "Q", .limits = limits}, clock_,
        counts_);
  }
  // Busy steps of 100 tokens in 10 ms, so that the lane knows its prices.
  void teach(Gate& gate, Lane& lane) {
    auto busy = gate.enter({.lane = &lane, .size = {.tokens = 100000}});
    ASSERT_TRUE(busy.ok());
    for (int i = 0; i < 50; ++i) {
      clock_.advance(milliseconds(10));
      lane.on_step(100, 0, milliseconds(10));
    }
  }
  ManualClock clock_;
  Counts counts_;
};

TEST_F(GateTest, APlaceIsGivenBackByItsDestructor) {
  const auto door = gate({.tickets_max = 2});
  {
    auto first = door->enter({});
    auto second = door->enter({});
    ASSERT_TRUE(first.ok() && second.ok());
    Place moved = std::move(*first);
    EXPECT_EQ(door->running(), 2);
    const auto third = door->enter({});
    ASSERT_FALSE(third.ok());
    EXPECT_EQ(third.error().code, Code::kOverloaded);
    EXPECT_NE(third.error().message.find("2 requests wait or run (Q)"), std::string::npos);
    EXPECT_GT(third.error().retry_after, Duration::zero());
    moved = Place();
    EXPECT_EQ(door->running(), 1);
  }
  EXPECT_EQ(door->running(), 0);
  EXPECT_EQ(counts_.refused[Refusal::kFull], 1);
}

TEST_F(GateTest, ClosingRefusesNewcomersOnly) {
  const auto door = gate({.tickets_max = 4, .slots_max = 1});
  auto first = door->enter({});
  ASSERT_TRUE(first.ok());
  bool ran = false;
  const auto wait = door->enter({}, [&](Result<Place> place) { ran = place.ok(); });
  ASSERT_NE(wait, nullptr);
  door->close();
  EXPECT_EQ(door->enter({}).error().code, Code::kUnavailable);
  first->release();
  EXPECT_TRUE(ran);
  EXPECT_EQ(counts_.refused[Refusal::kClosed], 1);
}

// Waiters come in order, leave when they are dropped, and hear when their time is over.
TEST_F(GateTest, WaitsForSlots) {
  const auto door = gate({.tickets_max = 8, .slots_max = 1, .wait_max = milliseconds(100)});
  std::vector<int> order;
  std::vector<Place> places;
  std::vector<Code> errors;
  const auto done = [&](int who) {
    return [&, who](Result<Place> place) {
      if (!place.ok()) return errors.push_back(place.error().code);
      order.push_back(who);
      places.push_back(std::move(*place));
    };
  };
  EXPECT_EQ(door->enter({}, done(0)), nullptr);
  auto first = door->enter({}, done(1));
  const auto second = door->enter({}, done(2));
  const auto third = door->enter({.deadline = clock_.now() + milliseconds(50)}, done(3));
  const auto urgent = door->enter({.priority = 1}, done(4));
  EXPECT_EQ(door->waiting(), 4);
  first.reset();  // its client went away
  EXPECT_EQ(door->waiting(), 3);
  clock_.advance(milliseconds(60));
  door->sweep();
  EXPECT_EQ(errors, std::vector<Code>{Code::kDeadline});
  places[0].release();
  places[1].release();
  EXPECT_EQ(order, (std::vector<int>{0, 4, 2}));
  EXPECT_EQ(places[2].waited(), milliseconds(60));
  const auto last = door->enter({}, done(5));
  clock_.advance(milliseconds(100));
  door->sweep();
  EXPECT_EQ(errors, (std::vector<Code>{Code::kDeadline, Code::kOverloaded}));
  EXPECT_EQ(counts_.refused[Refusal::kDeadline], 1);
  EXPECT_EQ(counts_.refused[Refusal::kNoSlot], 1);
  EXPECT_EQ(door->running(), 1);
  EXPECT_EQ(door->waiting(), 0);
}

TEST_F(GateTest, WhoWaitsAtTheEndHearsSo) {
  auto door = gate({.tickets_max = 8, .slots_max = 1});
  auto first = door->enter({});
  Code code{};
  const auto wait = door->enter({}, [&](Result<Place> place) { code = place.error().code; });
  door.reset();
  EXPECT_EQ(code, Code::kUnavailable);
  first->release();  // after its gate
}

// 1000 tokens at 10 ms a hundred are in line: a request with 50 ms is refused, told when it would
// fit, and fits then; one with a second gets in.
TEST_F(GateTest, RefusesWhatCannotBeInTime) {
  const auto door = gate({.tickets_max = 100});
  Lane& lane = door->add_lane("m", {.parallel = 1});
  teach(*door, lane);
  std::vector<Place> places;
  for (int i = 0; i < 10; ++i) {
    auto place = door->enter({.lane = &lane, .size = {.tokens = 100}});
    ASSERT_TRUE(place.ok());
    places.push_back(std::move(*place));
  }
  EXPECT_NEAR(to_ms(lane.backlog()), 100, 10);
  const Ask hurried{
      .lane = &lane, .size = {.tokens = 100}, .deadline = clock_.now() + milliseconds(50)};
  const auto refused = door->enter(hurried);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kOverloaded);
  EXPECT_NE(refused.error().message.find("model 'm' is busy"), std::string::npos)
      << refused.error().message;
  const double back_ms = to_ms(refused.error().retry_after);
  EXPECT_NEAR(back_ms, 60, 10);
  EXPECT_EQ(counts_.refused[Refusal::kForecast], 1);
  EXPECT_TRUE(door->enter({.lane = &lane,
                           .size = {.tokens = 100},
                           .deadline = clock_.now() + std::chrono::seconds(1)})
                  .ok());
  const auto patience =
      door->enter({.lane = &lane, .size = {.tokens = 100}, .start_max = milliseconds(20)});
  ASSERT_FALSE(patience.ok());
  EXPECT_NE(patience.error().message.find("would wait"), std::string::npos);
  // As many as are done until then have left.
  places.resize(places.size() - static_cast<size_t>(back_ms / 10 + 1));
  clock_.advance(refused.error().retry_after);
  Ask again = hurried;
  again.deadline = clock_.now() + milliseconds(50);
  EXPECT_TRUE(door->enter(again).ok());
  EXPECT_EQ(door->enter({.deadline = clock_.now()}).error().code, Code::kDeadline);
}

// Places, waits and sweeps from many threads: in the end everything was given back.
TEST_F(GateTest, ManyThreads) {
  const auto door = gate({.tickets_max = 6, .slots_max = 2, .wait_max = milliseconds(1)});
  Lane& lane = door->add_lane("m", {.parallel = 2});
  std::atomic<int> served{0}, refused{0}, dropped{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        if (t == 0) clock_.advance(std::chrono::microseconds(100));
        auto called = std::make_shared<std::atomic<bool>>(false);
        auto wait = door->enter({.lane = &lane, .size = {.bytes = 40}}, [&, called](auto place) {
          if (place.ok()) place->answered();
          ++(place.ok() ? served : refused);
          *called = true;
        });
        if (i % 3 == 0) wait.reset();
        if (i % 3 == 0 && !*called) ++dropped;
        for (int spins = 0; wait && !*called && spins < 100; ++spins) {
          door->sweep();
          std::this_thread::yield();
        }
        if (wait && !*called) clock_.advance(milliseconds(2));
        door->sweep();
        wait.reset();
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(door->running(), 0);
  EXPECT_EQ(door->waiting(), 0);
  EXPECT_GT(served, 0);
  EXPECT_EQ(lane.backlog(), Duration::zero());
}

}  // namespace
}  // namespace sis::admission
