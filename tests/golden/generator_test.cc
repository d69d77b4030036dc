// Greedy tokens through the engine are those transformers gave, for every golden decoder in f32:
// alone, among 17 of mixed lengths, in chunks of a few tokens, with a prefix found in the cache,
// and after giving the cache's blocks away in the middle.
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/rng.h"
#include "golden_parts.h"
#include "infer/engine/generator.h"
#include "infer/models/registry.h"
#include "infer/weights/json_file.h"

namespace sis {
namespace {

using Ids = std::vector<int32_t>;

class Collector final : public engine::TokenSink {
 public:
  bool on_token(int32_t, const engine::TokenEvent& event) override {
    tokens.push_back(event.id);
    return true;
  }
  void on_finish(int32_t, engine::Finish) override {}
  void on_end(Result<engine::GenerateStats> stats) override {
    std::lock_guard lock(mutex);
    end = std::move(stats);
    changed.notify_all();
  }
  const Result<engine::GenerateStats>& wait() {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::seconds(60), [&] { return end.has_value(); });
    SIS_CHECK(end.has_value(), "no end");
    return *end;
  }

  Ids tokens;
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<engine::GenerateStats>> end;
};

struct Quiet final : engine::GeneratorObserver {
  void on_step(int32_t, int32_t, Duration) override {}
  void on_admission(int32_t, Duration) override {}
  void on_preemption() override { ++preemptions; }
  void on_tokens_after_cancel(int32_t) override {}
  std::atomic<int> preemptions{0};
};

class Generators : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string folder = "tests/golden/decoders/" + GetParam();
    const auto expected = weights::read_json_file(folder + "/expected.json");
    ASSERT_TRUE(expected.ok()) << expected.error().message;
    prompt_ = (*expected)["greedy"]["prompt"].get<Ids>();
    want_ = (*expected)["greedy"]["tokens"].get<Ids>();
    executor_.call([&](ops::Context& context) {
      auto loaded = models::load_decoder(
          folder, {.compute = DType::kF32, .kv = DType::kF32, .isa = context.isa}, context.team);
      ASSERT_TRUE(loaded.ok()) << loaded.error().message;
      decoder_ = std::move(*loaded);
    });
    ASSERT_TRUE(decoder_);
  }

  void start(engine::GeneratorOptions options, int blocks) {
    options.context_max = 160;
    options.queue_wait_max = {};
    options.kv_bytes = blocks * decoder_->kv_layout().block_bytes();
    auto generator =
        engine::Generator::create(*decoder_, options, executor_, masks_, clock_, observer_);
    ASSERT_TRUE(generator.ok()) << generator.error().message;
    generator_ = std::move(*generator);
  }

  struct Running {
    std::shared_ptr<Collector> sink;
    std::unique_ptr<engine::Generator::Ticket> ticket;
  };
  Running submit(const Ids& prompt, int32_t tokens) {
    engine::GenerateRequest request;
    request.prompt = prompt;
    request.tokens_max = tokens;
    request.sampling.temperature = 0;
    Running running{std::make_shared<Collector>(), nullptr};
    auto ticket = generator_->submit(std::move(request), running.sink);
    EXPECT_TRUE(ticket.ok()) << ticket.error().message;
    if (ticket.ok()) running.ticket = std::move(*ticket);
    return running;
  }
  Ids random_prompt(Rng& rng, size_t tokens) const {
    Ids ids(tokens);
    for (auto& id : ids)
      id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(decoder_->info().vocab)));
    return ids;
  }
  // The golden prompt in the middle of 16 others.
  void expect_golden_in_company() {
    Rng rng{5};
    std::vector<Running> others;
    Running golden;
    for (int i = 0; i < 17; ++i) {
      if (i == 8)
        golden = submit(prompt_, static_cast<int32_t>(want_.size()));
      else
        others.push_back(submit(random_prompt(rng, 1 + i * 5), 20 + i * 2));
    }
    ASSERT_TRUE(golden.sink->wait().ok()) << golden.sink->wait().error().message;
    EXPECT_EQ(golden.sink->tokens, want_);
    for (auto& other : others) EXPECT_TRUE(other.sink->wait().ok());
  }

  SteadyClock clock_;
  engine::DeviceExecutor executor_{{.threads = 2, .isa = detect_isa()}, clock_};
  TaskPool masks_{"masks", 1, 100};
  Quiet observer_;
  std::unique_ptr<nn::Decoder> decoder_;
  std::unique_ptr<engine::Generator> generator_;
  Ids prompt_, want_;
};

TEST_P(Generators, AloneAndWithACachedPrefix) {
  start({}, 40);
  auto first = submit(prompt_, static_cast<int32_t>(want_.size()));
  ASSERT_TRUE(first.sink->wait().ok());
  EXPECT_EQ(first.sink->tokens, want_);
  // The prompt and some of its answer, whose first blocks are in the cache now.
  Ids longer = prompt_;
  longer.insert(longer.end(), want_.begin(), want_.begin() + 40);
  auto second = submit(longer, static_cast<int32_t>(want_.size()) - 40);
  const auto& stats = second.sink->wait();
  ASSERT_TRUE(stats.ok()) << stats.error().message;
  EXPECT_EQ(stats->cached_tokens, 32);
  EXPECT_EQ(second.sink->tokens, Ids(want_.begin() + 40, want_.end()));
}

TEST_P(Generators, InCompany) {
  start({.sequences_max = 17, .step_tokens_max = 256}, 17 * 5);
  expect_golden_in_company();
  EXPECT_EQ(observer_.preemptions, 0);
}

TEST_P(Generators, InChunks) {
  start({.sequences_max = 6, .step_tokens_max = 7}, 60);
  expect_golden_in_company();
}

TEST_P(Generators, AfterPreemption) {
  start({.sequences_max = 17, .step_tokens_max = 64, .preemptions_max = 0}, 12);
  expect_golden_in_company();
  EXPECT_GT(observer_.preemptions, 0);
}

INSTANTIATE_TEST_SUITE_P(Golden, Generators,
                         testing::ValuesIn(checkpoints_in("tests/golden/decoders")),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace sis
