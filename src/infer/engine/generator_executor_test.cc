// The generator on a device executor, with callers on other threads.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "infer/engine/generator.h"
#include "infer/engine/generator_fixture.h"

namespace sis::engine {
namespace {

TEST(GeneratorExecutor, PlansItsMemoryOrSaysWhatIsMissing) {
  const HashDecoder decoder;  // 8192 bytes per block of 32 tokens, 400 tokens at most
  ASSERT_EQ(decoder.kv_layout().block_bytes(), 8192);
  SteadyClock clock;
  DeviceExecutor executor({.threads = 1}, clock);
  TaskPool masks("masks", 1, 8);
  Observed observer;
  const auto message = [&](GeneratorOptions options) {
    const auto made = Generator::create(decoder, options, executor, masks, clock, observer);
    if (made.ok()) {
      EXPECT_EQ((*made)->options().context_max, options.context_max ? options.context_max : 400);
      return concat((*made)->gauges().blocks_total, " blocks");
    }
    EXPECT_EQ(made.error().code, Code::kInvalidArgument);
    return made.error().message;
  };
  EXPECT_EQ(message({.kv_bytes = 13 * 8192}), "13 blocks");
  EXPECT_EQ(message({.kv_bytes = 20 * 8192 - 1}), "19 blocks");
  EXPECT_EQ(message({.context_max = 64, .kv_bytes = 2 * 8192}), "2 blocks");
  EXPECT_EQ(message({.kv_bytes = 13 * 8192 - 1}),
            "generator: kv_bytes: want at least 0.1 MB for one sequence of 400 tokens, got 0.1 MB "
            "with room for 384 tokens");
  EXPECT_NE(message({.context_max = 401, .kv_bytes = 1 << 20}).find("context_max"),
            std::string::npos);
  EXPECT_NE(message({.sequences_max = 0, .kv_bytes = 1 << 20}).find("sequences_max"),
            std::string::npos);
  EXPECT_NE(message({.sequences_max = 8, .step_tokens_max = 7, .kv_bytes = 1 << 20})
                .find("step_tokens_max"),
            std::string::npos);
}

// Waits for a record that is written on the executor's thread.
struct Awaited {
  struct Sink final : TokenSink {
    bool on_token(int32_t, const TokenEvent& event) override {
      const std::lock_guard lock(mutex);
      tokens.push_back(event.id);
      changed.notify_all();
      return true;
    }
    void on_finish(int32_t, Finish) override {}
    void on_end(Result<GenerateStats> stats) override {
      const std::lock_guard lock(mutex);
      result.emplace(std::move(stats));
      changed.notify_all();
    }
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<int32_t> tokens;
    std::optional<Result<GenerateStats>> result;
  };
  template <class Condition>
  void wait(Condition&& condition) {
    std::unique_lock lock(sink->mutex);
    ASSERT_TRUE(sink->changed.wait_for(lock, std::chrono::seconds(30), condition));
  }
  std::shared_ptr<Sink> sink = std::make_shared<Sink>();
  std::unique_ptr<Generator::Ticket> ticket;
};

// Two models on one device, callers on several threads: all answers are right, both got their
// share.
TEST(GeneratorExecutor, TwoShareAnExecutor) {
  HashDecoder first_model(100), second_model(130);
  SteadyClock clock;
  DeviceExecutor executor({.threads = 1}, clock);
  TaskPool masks("masks", 1, 8);
  Observed observers[2];
  const GeneratorOptions options{.sequences_max = 4,
                                 .step_tokens_max = 32,
                                 .queue_wait_max = Duration{},
                                 .kv_bytes = 40 * 8192};
  std::unique_ptr<Generator> generators[2];
  const HashDecoder* models[2] = {&first_model, &second_model};
  for (int g = 0; g < 2; ++g) {
    auto made = Generator::create(*models[g], options, executor, masks, clock, observers[g]);
    ASSERT_TRUE(made.ok());
    generators[g] = std::move(*made);
  }
  std::vector<std::thread> threads;
  for (int g = 0; g < 2; ++g)
    for (int t = 0; t < 2; ++t)
      threads.emplace_back([&, g, t] {
        for (int i = 0; i < 15; ++i) {
          Rng rng(static_cast<uint64_t>(100 * t + i));
          GenerateRequest request = greedy(random_prompt(rng, 1 + rng.below(60)), 15);
          std::vector<int32_t> want = request.prompt;
          for (int k = 0; k < 15; ++k) {
            const auto logits = models[g]->logits_of(want);
            want.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) -
                                                logits.begin()));
          }
          want.erase(want.begin(), want.end() - 15);
          Awaited call;
          auto ticket = generators[g]->submit(std::move(request), call.sink);
          ASSERT_TRUE(ticket.ok());
          call.ticket = std::move(*ticket);
          if (i % 4 == 3) {  // dropped half way
            call.wait([&] { return call.sink->tokens.size() >= 3; });
            call.ticket.reset();
            continue;
          }
          call.wait([&] { return call.sink->result.has_value(); });
          EXPECT_TRUE(call.sink->result->ok());
          EXPECT_EQ(call.sink->tokens, want);
        }
      });
  for (auto& thread : threads) thread.join();
  EXPECT_GT(observers[0].steps, 0);
  EXPECT_GT(observers[1].steps, 0);
}

// close() refuses new requests and lets the others finish; destruction ends what is left, and
// tickets may come later.
TEST(GeneratorExecutor, ClosesAndEnds) {
  HashDecoder model;
  SteadyClock clock;
  DeviceExecutor executor({.threads = 1}, clock);
  TaskPool masks("masks", 1, 8);
  Observed observer;
  auto made = Generator::create(
      model, {.sequences_max = 1, .queue_wait_max = Duration{}, .kv_bytes = 40 * 8192}, executor,
      masks, clock, observer);
  ASSERT_TRUE(made.ok());
  std::unique_ptr<Generator> generator = std::move(*made);
  const auto submit = [&](int32_t tokens_max) {
    Awaited call;
    auto ticket = generator->submit(greedy({1, 2}, tokens_max), call.sink);
    EXPECT_TRUE(ticket.ok());
    if (ticket.ok()) call.ticket = std::move(*ticket);
    return call;
  };
  Awaited running = submit(30), waiting = submit(5);
  generator->close();
  auto refused = generator->submit(greedy({1}, 1), std::make_shared<Awaited::Sink>());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  running.wait([&] { return running.sink->result.has_value(); });
  waiting.wait([&] { return waiting.sink->result.has_value(); });
  EXPECT_TRUE(running.sink->result->ok() && waiting.sink->result->ok());
  EXPECT_EQ(waiting.sink->tokens.size(), 5u);

  made = Generator::create(model, {.sequences_max = 1, .kv_bytes = 40 * 8192}, executor, masks,
                           clock, observer);
  generator = std::move(*made);
  model.during_forward = [] { std::this_thread::sleep_for(std::chrono::milliseconds(1)); };
  Awaited cut = submit(390), never = submit(5);
  cut.wait([&] { return cut.sink->tokens.size() > 2; });
  generator.reset();
  for (Awaited* call : {&cut, &never}) {
    ASSERT_TRUE(call->sink->result && !call->sink->result->ok());
    EXPECT_EQ(call->sink->result->error().code, Code::kUnavailable);
    call->ticket.reset();
  }
}

// Destroying a ticket waits for a callback in progress, but not for a forward pass.
TEST(GeneratorExecutor, CancellingDoesNotWaitForTheForwardPass) {
  HashDecoder model;
  std::mutex mutex;
  std::condition_variable changed;
  bool inside = false, go_on = false;
  model.during_forward = [&] {
    std::unique_lock lock(mutex);
    inside = true;
    changed.notify_all();
    changed.wait_for(lock, std::chrono::seconds(30), [&] { return go_on; });
  };
  SteadyClock clock;
  DeviceExecutor executor({.threads = 1}, clock);
  TaskPool masks("masks", 1, 8);
  Observed observer;
  auto made = Generator::create(model, {.kv_bytes = 40 * 8192}, executor, masks, clock, observer);
  Awaited call;
  call.ticket = std::move(*(*made)->submit(greedy({1, 2}, 5), call.sink));
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(30), [&] { return inside; }));
  }
  call.ticket.reset();  // the pass stands still until we let it go on
  EXPECT_EQ(call.sink.use_count(), 1);
  {
    const std::lock_guard lock(mutex);
    go_on = true;
  }
  changed.notify_all();
  made->reset();
  EXPECT_EQ(observer.after_cancel, 2);
  EXPECT_TRUE(call.sink->tokens.empty());
}

}  // namespace
}  // namespace sis::engine
