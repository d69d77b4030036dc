// Every stage a request can be in when it is cancelled, late or closed, and what its stream hears.
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

#include "serve/tasks/generate.h"
#include "serve/tasks/generate_fixture.h"

namespace sis::tasks {
namespace {

using engine::Finish;

class GenerateEndTest : public GenerateTest {};

// --- Cancelling at every stage: nothing is heard afterwards and nothing is left.

TEST_F(GenerateEndTest, CancelledBeforePreparation) {
  const auto latch = block_prep();
  auto ticket = submit(chat());
  ticket.reset();
  EXPECT_EQ(service_->requests_open(), 0);
  latch->count_down();
  auto later = submit(chat());  // behind it on the only thread
  ASSERT_NE(generator_.next(), nullptr);
  EXPECT_EQ(generator_.submitted(), 1u);
}

TEST_F(GenerateEndTest, CancelledWhileTheEngineTakesIt) {
  generator_.hold = true;
  auto ticket = submit(chat());
  const auto listener = heard_;
  const auto job = generator_.next();
  ticket.reset();
  EXPECT_EQ(service_->requests_open(), 0);
  job->admit();
  EXPECT_FALSE(job->say(5));
  generator_.release();
  auto later = submit(chat());
  ASSERT_NE(generator_.next(), nullptr);  // the first ticket came and went
  later.reset();
  expect_no_tickets();
  EXPECT_TRUE(listener->events.empty());
  EXPECT_FALSE(listener->ended());
}

TEST_F(GenerateEndTest, CancelledWhileGenerating) {
  auto ticket = submit(chat());
  const auto job = generator_.next();
  job->admit();
  job->say(ids("a")[0]);
  // submit() on the prep thread may still be about to hand over the engine's ticket.
  ticket.reset();
  const int deltas = heard_->deltas;
  EXPECT_FALSE(job->say(ids("b")[0]));
  job->finish(Finish::kLength);
  job->end();
  EXPECT_EQ(heard_->deltas, deltas);
  EXPECT_FALSE(heard_->ended());
  EXPECT_EQ(service_->requests_open(), 0);
  expect_no_tickets();
}

// A ticket that is destroyed during a callback waits for its end.
TEST_F(GenerateEndTest, CancellingWaitsForACallback) {
  class Slow final : public GenerateStream {
   public:
    void on_start(int32_t) override {
      entered.count_down();
      go_on.wait();
      left = true;
    }
    void on_delta(int32_t, Delta) override { ADD_FAILURE(); }
    void on_finish(int32_t, FinishReason) override { ADD_FAILURE(); }
    void on_end(Result<Usage>) override { ADD_FAILURE(); }
    std::latch entered{1}, go_on{1};
    std::atomic<bool> left = false;
  };
  const auto slow = std::make_shared<Slow>();
  auto ticket = service_->submit(chat(), slow);
  const auto job = generator_.next();
  std::thread executor([&] { job->admit(); });
  slow->entered.wait();
  std::thread canceller([&] {
    ticket.reset();
    EXPECT_TRUE(slow->left);
  });
  slow->go_on.count_down();
  canceller.join();
  executor.join();
  EXPECT_FALSE(job->say(5));
}

TEST_F(GenerateEndTest, CancelledAfterItsEnd) {
  auto ticket = submit(chat());
  generator_.next()->answer(ids("a"));
  ASSERT_TRUE(heard_->wait().ok());
  ticket.reset();
  expect_no_tickets();
}

// The engine may end a request before its submit() has returned.
TEST_F(GenerateEndTest, AnsweredInsideTheEnginesSubmit) {
  generator_.on_submit = [this](ScriptedGenerator::Job& job) { job.answer(ids("quick")); };
  const auto ticket = submit(chat());
  ASSERT_TRUE(heard_->wait().ok());
  EXPECT_EQ(heard_->texts[0], "quick");
}

// --- Deadlines, by the clock of the test.

TEST_F(GenerateEndTest, PreparationHasADeadline) {
  const auto latch = block_prep();
  const auto ticket = submit(chat());
  service_->sweep();
  EXPECT_FALSE(heard_->ended());
  clock_.advance(service_->defaults().prepare_timeout);
  service_->sweep();
  ASSERT_TRUE(heard_->ended());
  EXPECT_EQ(heard_->error().code, Code::kDeadline);
  EXPECT_EQ(heard_->error().message, "not prepared within 10 s");
  latch->count_down();
  const auto later = submit(chat());
  generator_.next();
  EXPECT_EQ(generator_.submitted(), 1u);
}

// A request that waited too long for the pool is not begun, swept or not.
TEST_F(GenerateEndTest, LatePreparationIsNotBegun) {
  const auto latch = block_prep();
  const auto ticket = submit(chat());
  clock_.advance(service_->defaults().prepare_timeout);
  latch->count_down();
  EXPECT_EQ(heard_->error().code, Code::kDeadline);
  EXPECT_EQ(generator_.submitted(), 0u);
}

TEST_F(GenerateEndTest, GenerationHasADeadlineFromTheEndOfPreparation) {
  const auto latch = block_prep();
  const auto ticket = submit(chat());
  clock_.advance(from_seconds(9));
  latch->count_down();
  const auto job = generator_.next();
  job->admit();
  job->say(ids("a")[0]);
  clock_.advance(from_seconds(59));
  service_->sweep();
  EXPECT_FALSE(heard_->ended());
  EXPECT_TRUE(job->say(ids("a")[0]));
  clock_.advance(from_seconds(1));
  service_->sweep();
  EXPECT_EQ(heard_->error().code, Code::kDeadline);
  EXPECT_FALSE(job->say(ids("a")[0]));
  expect_no_tickets();
}

TEST_F(GenerateEndTest, TheClientsDeadlineComesFirst) {
  for (const bool running : {false, true}) {
    auto call = chat();
    call.deadline = clock_.now() + from_seconds(3);
    const auto latch = block_prep();
    const auto ticket = submit(std::move(call));
    if (running) {
      latch->count_down();
      generator_.next()->admit();
    }
    clock_.advance(from_seconds(2));
    service_->sweep();
    EXPECT_FALSE(heard_->ended());
    clock_.advance(from_seconds(1));
    service_->sweep();
    EXPECT_EQ(heard_->error().code, Code::kDeadline);
    EXPECT_EQ(heard_->error().message, "no whole answer within the request's own time limit");
    if (!running) latch->count_down();
  }
}

// --- Closing.

TEST_F(GenerateEndTest, ClosedRefusesAndRunsOn) {
  const auto ticket = submit(chat());
  const auto listener = heard_;
  const auto job = generator_.next();
  service_->close();
  EXPECT_EQ(submit(chat()), nullptr);
  EXPECT_EQ(heard_->error().code, Code::kUnavailable);
  job->answer(ids("still"));
  ASSERT_TRUE(listener->wait().ok());
  EXPECT_EQ(listener->texts[0], "still");
}

// Destroying the service ends what is open, in preparation or in the engine; tickets may follow.
TEST_F(GenerateEndTest, DestroyedEndsEverything) {
  auto generating = submit(chat());
  const auto first = heard_;
  ASSERT_NE(generator_.next(), nullptr);
  const auto latch = block_prep();
  auto preparing = submit(chat());
  const auto second = heard_;
  service_.reset();
  EXPECT_EQ(first->error().code, Code::kUnavailable);
  EXPECT_EQ(second->error().code, Code::kUnavailable);
  EXPECT_EQ(generator_.tickets(), 0);
  latch->count_down();
  generating.reset();
  preparing.reset();
  start("qwen2", {});
}

// Requests of many clients that end in every way at once; the count of tickets shows leaks, the
// sanitizers show races.
TEST_F(GenerateEndTest, ManyAtOnce) {
  std::atomic<bool> stop = false;
  std::thread executor([&] {
    while (!stop) {
      if (const auto job = generator_.next_now())
        job->answer(ids("one two three"));
      else
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  });
  std::atomic<int> answered = 0;
  std::vector<std::thread> clients;
  for (int client = 0; client < 3; ++client)
    clients.emplace_back([&, client] {
      for (int i = 0; i < 60; ++i) {
        const auto listener = std::make_shared<Listener>();
        auto ticket = service_->submit(chat(), listener);
        if (i % 3 == client) std::this_thread::yield();
        if (i % 3 == 0) {
          ticket.reset();
        } else {
          const auto& end = listener->wait();
          if (end.ok()) {
            EXPECT_EQ(listener->texts[0], "one two three");
            ++answered;
          } else {
            EXPECT_EQ(end.error().code, Code::kOverloaded);  // the pool's line is short
          }
        }
        service_->sweep();
      }
    });
  for (auto& thread : clients) thread.join();
  stop = true;
  executor.join();
  EXPECT_GT(answered, 0);
  EXPECT_EQ(service_->requests_open(), 0);
}

}  // namespace
}  // namespace sis::tasks
