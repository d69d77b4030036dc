#include "serve/admission/backlog.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <deque>
#include <vector>

#include "base/rng.h"

namespace sis::admission {
namespace {

using std::chrono::milliseconds;

double uniform(Rng& rng) { return (static_cast<double>(rng.next() >> 11) + 0.5) * 0x1p-53; }
double exponential(Rng& rng, double mean) { return -mean * std::log(uniform(rng)); }

// Prices of prompt and answer tokens are told apart when steps differ in their mixture.
TEST(StepCost, FitsBothPrices) {
  Rng rng{7};
  ManualClock clock;
  StepCost cost;
  for (int i = 0; i < 200; ++i) {
    const Work work{.prefill_tokens = static_cast<double>(rng.next() % 200), .decode_tokens = 8};
    const double seconds = work.prefill_tokens * 1e-4 + work.decode_tokens * 1e-3;
    clock.advance(from_seconds(seconds));
    cost.add(clock.now(), work, from_seconds(seconds), {.busy = true, .continues = true});
  }
  ASSERT_TRUE(cost.known());
  EXPECT_NEAR(cost.seconds({.prefill_tokens = 1}), 1e-4, 2e-6);
  EXPECT_NEAR(cost.seconds({.decode_tokens = 1}), 1e-3, 2e-5);
}

// With another model taking two thirds of the device a token takes three times as long.
TEST(StepCost, CountsTheDevicesShare) {
  ManualClock clock;
  StepCost cost;
  for (int i = 0; i < 300; ++i) {
    clock.advance(milliseconds(30));
    cost.add(clock.now(), {.prefill_tokens = 100}, milliseconds(10),
             {.busy = true, .continues = true});
  }
  EXPECT_NEAR(cost.seconds({.prefill_tokens = 100}), 0.030, 0.001);
  // Alone again, even if never busy: the share returns.
  for (int i = 0; i < 200; ++i) {
    clock.advance(milliseconds(100));
    cost.add(clock.now(), {.prefill_tokens = 100}, milliseconds(10), {});
  }
  EXPECT_NEAR(cost.seconds({.prefill_tokens = 100}), 0.010, 0.001);
}

// One step a thousand times too slow is soon forgotten, the first as well as a later one.
TEST(StepCost, ForgetsASlowStep) {
  for (const int slow : {0, 100}) {
    SCOPED_TRACE(slow);
    ManualClock clock;
    StepCost cost;
    for (int i = 0; i < 300; ++i) {
      const auto took = i == slow ? milliseconds(10000) : milliseconds(10);
      clock.advance(took);
      cost.add(clock.now(), {.prefill_tokens = 100}, took, {.busy = true, .continues = true});
      if (i == 100 && slow == 100) {
        EXPECT_LT(cost.seconds({.prefill_tokens = 100}), 0.025);
      }
    }
    EXPECT_NEAR(cost.seconds({.prefill_tokens = 100}), 0.010, 0.002);
  }
}

TEST(Backlog, SaysNothingBeforeItKnows) {
  Backlog backlog({.parallel = 1});
  const auto entry = backlog.estimate({.bytes = 400});
  EXPECT_EQ(entry.whole.prefill_tokens, 100);
  backlog.add(entry);
  EXPECT_FALSE(backlog.forecast(entry).has_value());
  EXPECT_EQ(backlog.drain(), Duration::zero());
  backlog.remove(entry);
  EXPECT_EQ(backlog.left().tokens(), 0);
}

// Bytes per token and the length of answers are learnt; an answer is never longer than its limit.
TEST(Backlog, LearnsSizes) {
  Backlog backlog({.parallel = 8});
  for (int i = 0; i < 200; ++i) {
    auto entry = backlog.estimate({.bytes = 1000, .answer_tokens_max = 512});
    backlog.add(entry);
    backlog.correct(entry, 500);
    backlog.start(entry);
    EXPECT_NEAR(backlog.left().prefill_tokens, 250, 1);
    backlog.learn_answer(40);
    backlog.remove(entry);
  }
  const auto entry = backlog.estimate({.bytes = 1000, .answer_tokens_max = 512, .sequences = 2});
  EXPECT_NEAR(entry.whole.prefill_tokens, 500, 1);
  EXPECT_NEAR(entry.whole.decode_tokens, 80, 1e-9);
  EXPECT_NEAR(backlog.estimate({.bytes = 0, .answer_tokens_max = 7}).whole.decode_tokens, 7, 1e-9);
}

// --- A model under open-loop load, step by step, with the backlog as its only guard.

struct Traffic {
  double load = 1;  // of what the model can do
  double seconds = 30;
  double deadline = 0.25;
  double settle = 2;  // seconds that do not count: until prices are known everything is let in
  double stall_at = -1, stall_seconds = 0;  // one step takes so much longer
  bool first_step_slow = false;
};

struct Outcome {
  int64_t in_time = 0, late = 0, refused = 0;
  int64_t in_time_last_half = 0;
};

// Batches of up to 16 requests of 5 to 35 tokens: 2 ms and 50 us a token.
Outcome run_batches(uint64_t seed, const Traffic& traffic) {
  constexpr double kStep = 0.002, kToken = 50e-6, kMeanTokens = 20;
  constexpr size_t kBatch = 16;
  const double capacity = kBatch / (kStep + kBatch * kMeanTokens * kToken);  // requests a second
  struct Request {
    double arrived;
    Backlog::Entry entry;
    int64_t tokens;
    std::optional<Forecast> forecast;
  };
  Rng rng{seed};
  Backlog backlog({.parallel = 1});
  Outcome outcome;
  std::deque<Request> queue;
  bool stalled = false, first = true;
  double now = 1, next_arrival = now;
  const double end = now + traffic.seconds;
  const auto at = [](double seconds) { return TimePoint(from_seconds(seconds)); };
  const auto arrive = [&](double until) {
    for (; next_arrival <= until; next_arrival += exponential(rng, 1 / (capacity * traffic.load))) {
      const auto tokens = static_cast<int64_t>(5 + rng.next() % 31);
      const auto bytes = static_cast<int64_t>(static_cast<double>(tokens) * (3 + 2 * uniform(rng)));
      auto entry = backlog.estimate({.bytes = bytes});
      const auto forecast = backlog.forecast(entry);
      const Duration budget = from_seconds(traffic.deadline);
      if (!backlog.has_free_place() && forecast &&
          forecast->finish + backlog.slack(budget) > budget) {
        ++outcome.refused;
        continue;
      }
      backlog.add(entry);
      queue.push_back({next_arrival, entry, tokens, forecast});
    }
  };
  while (now < end) {
    arrive(now);
    if (queue.empty()) {
      now = next_arrival;
      continue;
    }
    double work = 0;
    const size_t batch = std::min(kBatch, queue.size());
    for (size_t i = 0; i < batch; ++i) {
      backlog.correct(queue[i].entry, queue[i].tokens);
      work += static_cast<double>(queue[i].tokens);
    }
    double took = (kStep + work * kToken) * (0.9 + 0.2 * uniform(rng));
    if (std::exchange(first, false) && traffic.first_step_slow) took *= 100;
    if (traffic.stall_at >= 0 && now - 1 > traffic.stall_at && !std::exchange(stalled, true))
      took += traffic.stall_seconds;
    arrive(now + took);
    now += took;
    backlog.on_step(at(now), {.prefill_tokens = work}, from_seconds(took));
    for (size_t i = 0; i < batch; ++i) {
      const Request& request = queue.front();
      const double latency = now - request.arrived;
      if (request.forecast) backlog.learn_error(request.forecast->finish, from_seconds(latency));
      backlog.remove(request.entry);
      if (request.arrived - 1 >= traffic.settle) {
        ++(latency <= traffic.deadline ? outcome.in_time : outcome.late);
        outcome.in_time_last_half += now > end - traffic.seconds / 2 && latency <= traffic.deadline;
      }
      queue.pop_front();
    }
  }
  return outcome;
}

// A machine may slow down while a request waits, however right the forecasts were until then.
TEST(Backlog, KeepsSomeTimeInHand) {
  Backlog backlog({.parallel = 1});
  EXPECT_EQ(backlog.slack(from_seconds(1)), from_seconds(0.05));
  backlog.learn_error(from_seconds(1), from_seconds(2));
  EXPECT_GT(backlog.slack(from_seconds(1)), from_seconds(0.1));
  for (int i = 0; i < 100; ++i) backlog.learn_error(from_seconds(1), from_seconds(9));
  EXPECT_EQ(backlog.slack(from_seconds(3)), from_seconds(1));  // a third, never more
}

void print(const char* what, double load, const Outcome& outcome, double capacity) {
  const auto in_time = static_cast<double>(outcome.in_time),
             late = static_cast<double>(outcome.late);
  std::printf("  %s at %.1fx: goodput %.1f %%, kept %.2f %%\n", what, load,
              100 * in_time / capacity, 100 * in_time / (in_time + late));
}

// At two and four times its capacity a model answers as much in time as it can at all, and keeps
// the deadline of 99 in 100 that it lets in.
TEST(BacklogUnderLoad, GoodputStaysAndDeadlinesAreKept) {
  for (const uint64_t seed : {1u, 2u, 3u}) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const double whole = 16 / (0.002 + 16 * 20 * 50e-6) * 28;
    for (const double load : {0.5, 0.9, 2.0, 4.0}) {
      SCOPED_TRACE(testing::Message() << "load " << load);
      const auto outcome = run_batches(seed, {.load = load});
      print("batches", load, outcome, whole);
      EXPECT_GE(static_cast<double>(outcome.in_time), 0.95 * std::min(load, 1.0) * whole);
      EXPECT_LE(outcome.late, 0.01 * static_cast<double>(outcome.in_time + outcome.late));
      if (load < 0.6) {
        EXPECT_EQ(outcome.refused, 0);
      }
    }
  }
}

// Neither a stall longer than any deadline nor a first step a hundred times too slow makes it
// refuse for good.
TEST(BacklogUnderLoad, RecoversFromStalls) {
  const double half = 16 / (0.002 + 16 * 20 * 50e-6) * 15;
  for (const Traffic& traffic :
       {Traffic{.load = 2, .stall_at = 10, .stall_seconds = 3},
        Traffic{.load = 2, .deadline = 0.1, .stall_at = 10, .stall_seconds = 3},
        Traffic{.load = 4, .first_step_slow = true},
        Traffic{.load = 0.8, .deadline = 0.1, .stall_at = 10, .stall_seconds = 1}}) {
    SCOPED_TRACE(testing::Message() << "load " << traffic.load << " deadline " << traffic.deadline
                                    << " stall " << traffic.stall_seconds);
    const auto outcome = run_batches(11, traffic);
    EXPECT_GE(static_cast<double>(outcome.in_time_last_half),
              0.93 * std::min(1.0, traffic.load) * half);
  }
}

// Eight sequences decode together (5 ms and 0.5 ms a row), prompts cost 0.1 ms a token; answers are
// geometric with a mean of 30 tokens, which nobody knows beforehand.
Outcome run_chat(uint64_t seed, const Traffic& traffic) {
  constexpr int kParallel = 8;
  constexpr double kStep = 0.005, kRow = 0.5e-3, kPrompt = 0.1e-3, kMeanAnswer = 30;
  const double capacity = 1 / (50 * kPrompt + kMeanAnswer * (kStep + kParallel * kRow) / kParallel);
  struct Request {
    double arrived;
    Backlog::Entry entry;
    int64_t prompt, answer, done = 0;
    std::optional<Forecast> forecast;
  };
  Rng rng{seed};
  Backlog backlog({.parallel = kParallel});
  Outcome outcome;
  std::deque<Request> queue;
  std::vector<Request> running;
  double now = 1, next_arrival = now;
  const double end = now + traffic.seconds;
  const auto arrive = [&](double until) {
    for (; next_arrival <= until; next_arrival += exponential(rng, 1 / (capacity * traffic.load))) {
      const auto prompt = static_cast<int64_t>(20 + rng.next() % 61);
      const auto answer = std::min<int64_t>(128, 1 + std::llround(exponential(rng, kMeanAnswer)));
      auto entry = backlog.estimate({.bytes = prompt * 4, .answer_tokens_max = 128});
      const auto forecast = backlog.forecast(entry);
      const Duration budget = from_seconds(traffic.deadline);
      if (!backlog.has_free_place() && forecast &&
          forecast->finish + backlog.slack(budget) > budget) {
        ++outcome.refused;
        continue;
      }
      backlog.add(entry);
      queue.push_back({next_arrival, entry, prompt, answer, 0, forecast});
    }
  };
  while (now < end) {
    arrive(now);
    if (queue.empty() && running.empty()) {
      now = next_arrival;
      continue;
    }
    Work work{.decode_tokens = static_cast<double>(running.size())};
    while (!queue.empty() && running.size() < kParallel) {
      backlog.correct(queue.front().entry, queue.front().prompt);
      backlog.start(queue.front().entry);
      work.prefill_tokens += static_cast<double>(queue.front().prompt);
      running.push_back(queue.front());
      queue.pop_front();
    }
    const double took = (kStep + work.decode_tokens * kRow + work.prefill_tokens * kPrompt) *
                        (0.9 + 0.2 * uniform(rng));
    arrive(now + took);
    now += took;
    backlog.on_step(TimePoint(from_seconds(now)), work, from_seconds(took));
    std::erase_if(running, [&](Request& request) {
      if (++request.done < request.answer) return false;
      const double latency = now - request.arrived;
      backlog.learn_answer(static_cast<double>(request.answer));
      if (request.forecast) backlog.learn_error(request.forecast->finish, from_seconds(latency));
      backlog.remove(request.entry);
      if (request.arrived - 1 >= traffic.settle)
        ++(latency <= traffic.deadline ? outcome.in_time : outcome.late);
      return true;
    });
  }
  return outcome;
}

// The same for generation, where a request's own length is the largest unknown.
TEST(BacklogUnderLoad, HoldsForGeneration) {
  for (const uint64_t seed : {5u, 6u}) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const auto peak = run_chat(seed, {.load = 1, .seconds = 120, .deadline = 4, .settle = 15});
    const auto most = static_cast<double>(peak.in_time);
    print("chats", 1, peak, most);
    for (const double load : {2.0, 4.0}) {
      SCOPED_TRACE(testing::Message() << "load " << load);
      const auto outcome =
          run_chat(seed, {.load = load, .seconds = 120, .deadline = 4, .settle = 15});
      print("chats", load, outcome, most);
      EXPECT_GE(static_cast<double>(outcome.in_time), 0.95 * most);
      EXPECT_LE(outcome.late, 0.015 * static_cast<double>(outcome.in_time + outcome.late));
    }
  }
}

}  // namespace
}  // namespace sis::admission
