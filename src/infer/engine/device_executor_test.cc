#include "infer/engine/device_executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace sis::engine {
namespace {

// A lane that always has work, each step taking `busy`.
class BusyLane final : public Lane {
 public:
  BusyLane(std::chrono::microseconds busy, std::atomic<bool>& on) : busy_(busy), on_(on) {}
  std::optional<TimePoint> ready_at(TimePoint now) override {
    return on_ ? std::optional(now) : std::nullopt;
  }
  void step(ops::Context&) override {
    const auto begin = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begin < busy_) {
    }
    const int64_t took_us = std::chrono::duration_cast<std::chrono::microseconds>(
                                std::chrono::steady_clock::now() - begin)
                                .count();
    spent_us += took_us;
    longest_us = std::max<int64_t>(longest_us, took_us);
    ++steps;
    if (after_step) after_step();
  }
  void failed(const std::string& what) override { ADD_FAILURE() << what; }
  std::atomic<int64_t> spent_us{0}, longest_us{0}, steps{0};
  std::function<void()> after_step;  // on the executor's thread

 private:
  const std::chrono::microseconds busy_;
  std::atomic<bool>& on_;
};

// Two lanes with steps of different length get device time by weight, not by number of steps. At
// any moment one is ahead by its last step, however long the machine made that, and by little more.
TEST(DeviceExecutor, SharesTimeByWeight) {
  SteadyClock clock;
  std::atomic<bool> on{false};
  BusyLane shorts(std::chrono::microseconds(200), on), longs(std::chrono::microseconds(2000), on);
  DeviceExecutor executor({.threads = 1}, clock);
  executor.add(shorts, 3);
  executor.add(longs, 1);
  on = true;
  executor.wake();
  while (longs.steps < 40) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  on = false;
  executor.remove(shorts);
  executor.remove(longs);
  const auto shorts_us = static_cast<double>(shorts.spent_us) / 3,
             longs_us = static_cast<double>(longs.spent_us);
  EXPECT_NEAR(shorts_us, longs_us,
              static_cast<double>(std::max<int64_t>(shorts.longest_us, longs.longest_us)) +
                  0.1 * std::max(shorts_us, longs_us));
}

class OnceLane final : public Lane {
 public:
  std::optional<TimePoint> ready_at(TimePoint) override {
    std::lock_guard lock(mutex);
    return at;
  }
  void step(ops::Context&) override {
    std::lock_guard lock(mutex);
    ran = std::chrono::steady_clock::now();
    at.reset();
  }
  void failed(const std::string& what) override { ADD_FAILURE() << what; }
  std::mutex mutex;
  std::optional<TimePoint> at;
  std::optional<TimePoint> ran;
};

// A lane that asks for a later moment is run at that moment without another wake().
TEST(DeviceExecutor, RunsALaneWhenItsTimeComes) {
  SteadyClock clock;
  DeviceExecutor executor({.threads = 1}, clock);
  OnceLane lane;
  executor.add(lane, 1);
  const auto due = clock.now() + std::chrono::milliseconds(20);
  {
    std::lock_guard lock(lane.mutex);
    lane.at = due;
  }
  executor.wake();
  for (int i = 0; i < 2000; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::lock_guard lock(lane.mutex);
    if (lane.ran) break;
  }
  executor.remove(lane);
  ASSERT_TRUE(lane.ran.has_value());
  EXPECT_GE(*lane.ran, due);
}

// Every second step of it fails.
class FaultyLane final : public Lane {
 public:
  std::optional<TimePoint> ready_at(TimePoint now) override {
    return steps < 6 ? std::optional(now) : std::nullopt;
  }
  void step(ops::Context&) override {
    if (steps++ % 2 == 0) throw std::bad_alloc();
  }
  void failed(const std::string& what) override {
    EXPECT_EQ(what, std::bad_alloc().what());
    ++faults;
  }
  std::atomic<int> steps{0}, faults{0};
};

// A step that throws ends neither the process nor the lane, and others go on.
TEST(DeviceExecutor, ExceptionsEndAtTheStep) {
  SteadyClock clock;
  std::atomic<bool> on{true};
  FaultyLane faulty;
  BusyLane other(std::chrono::microseconds(10), on);
  DeviceExecutor executor({.threads = 1}, clock);
  executor.add(faulty, 1);
  executor.add(other, 1);
  while (faulty.steps < 6 || other.steps < 3)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  on = false;
  executor.remove(faulty);
  executor.remove(other);
  EXPECT_EQ(faulty.faults, 3);

  const auto status = executor.try_call([](ops::Context&) -> Status { throw std::bad_alloc(); });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kInternal);
  EXPECT_TRUE(executor.try_call([](ops::Context&) { return Status(); }).ok());
}

TEST(DeviceExecutor, CallRunsBetweenStepsAndWaits) {
  SteadyClock clock;
  DeviceExecutor executor({.threads = 2}, clock);
  int64_t sum = 0;
  executor.call([&](ops::Context& context) {
    std::atomic<int64_t> total{0};
    context.team.split(100, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) total += i;
    });
    sum = total;
  });
  EXPECT_EQ(sum, 4950);
  executor.call([](ops::Context&) {});  // a call is counted before the next begins
  EXPECT_GE(executor.stats().steps, 1);
}

// Another model's backlog, however long, delays a lane by the step in progress and no more.
TEST(DeviceExecutor, ABacklogDelaysOthersByOneStep) {
  SteadyClock clock;
  std::atomic<bool> on{true};
  BusyLane first(std::chrono::microseconds(300), on), second(std::chrono::microseconds(500), on);
  // Ready when told; notes how many steps of the others had begun by then and when its turn came.
  class Seldom final : public Lane {
   public:
    Seldom(const BusyLane& first, const BusyLane& second) : first_(first), second_(second) {}
    std::optional<TimePoint> ready_at(TimePoint now) override {
      return wanted ? std::optional(now) : std::nullopt;
    }
    void step(ops::Context&) override {
      ended_before = first_.steps + second_.steps;
      wanted = false;
    }
    void failed(const std::string& what) override { ADD_FAILURE() << what; }
    std::atomic<bool> wanted{false};
    std::atomic<int64_t> ended_before{0};

   private:
    const BusyLane &first_, &second_;
  } seldom(first, second);
  DeviceExecutor executor({.threads = 1}, clock);
  executor.add(first, 1);
  executor.add(second, 4);
  executor.add(seldom, 1);
  for (int i = 0; i < 60; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(700 + 37 * i % 500));
    seldom.wanted = true;
    // Counted after it began to wait: whatever holds this thread up makes them fewer, not more.
    const int64_t ended = first.steps + second.steps;
    executor.wake();
    while (seldom.wanted) std::this_thread::sleep_for(std::chrono::microseconds(50));
    // The one in progress, and one that was chosen just before.
    EXPECT_LE(seldom.ended_before - ended, 2);
  }
  on = false;
  executor.remove(first);
  executor.remove(second);
  executor.remove(seldom);
}

// A lane that was idle for long gets its share from now on, not what it did not use before.
TEST(DeviceExecutor, IdleTimeIsNotSaved) {
  SteadyClock clock;
  std::atomic<bool> early{true}, late{false};
  BusyLane worker(std::chrono::microseconds(200), early),
      sleeper(std::chrono::microseconds(200), late);
  std::atomic<int64_t> before_us{0};
  worker.after_step = [&] {
    if (worker.steps != 200) return;
    before_us = worker.spent_us.load();
    late = true;
  };
  sleeper.after_step = [&] {
    if (sleeper.steps == 100) early = late = false;
  };
  DeviceExecutor executor({.threads = 1}, clock);
  executor.add(worker, 1);
  executor.add(sleeper, 1);
  while (sleeper.steps < 100) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  executor.remove(worker);
  executor.remove(sleeper);
  const auto worker_us = static_cast<double>(worker.spent_us - before_us),
             sleeper_us = static_cast<double>(sleeper.spent_us);
  EXPECT_NEAR(worker_us, sleeper_us,
              static_cast<double>(std::max<int64_t>(worker.longest_us, sleeper.longest_us)) +
                  0.1 * std::max(worker_us, sleeper_us));
}

}  // namespace
}  // namespace sis::engine
