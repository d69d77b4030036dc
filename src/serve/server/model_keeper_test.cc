// Faults are real exceptions on a real executor; models are stand-ins that break when told to.
#include "serve/server/model_keeper.h"

#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <stdexcept>
#include <thread>

namespace sis::server {
namespace {

using admission::BreakerState;

std::atomic<int> alive{0}, alive_most{0};

class Breaking final : public nn::Encoder {
 public:
  explicit Breaking(std::atomic<bool>& broken, int32_t hidden = 4) : broken_(broken) {
    info_.hidden = hidden;
    info_.vocab = 10;
    info_.tokens_max = 8;
    alive_most = std::max(alive_most.load(), ++alive);
  }
  ~Breaking() override { --alive; }
  const nn::EncoderInfo& info() const override { return info_; }
  void forward(ops::Context&, const nn::RaggedBatch&, Mat<float> states) const override {
    if (broken_) throw std::runtime_error("broken");
    for (int64_t r = 0; r < states.rows; ++r)
      for (int64_t c = 0; c < states.cols; ++c) states.at(r, c) = 1;
  }

 private:
  std::atomic<bool>& broken_;
  nn::EncoderInfo info_;
};

class ModelKeeperTest : public testing::Test {
 protected:
  ModelKeeperTest() {
    alive_most = alive.load();
    keeper_.set_hooks(
        {.on_state = [this](const std::string&, BreakerState, bool opened) { openings += opened; },
         .on_rebuild = [this](const std::string&, bool ok) { ++(ok ? rebuilt : failed); }});
  }
  std::unique_ptr<nn::Encoder> guard() {
    return keeper_.guard(
        "m", std::make_unique<Breaking>(broken), [this]() -> Result<std::unique_ptr<nn::Encoder>> {
          if (load_fails) return Error{Code::kNotFound, "no folder"};
          if (load_throws) throw std::bad_alloc();
          std::unique_ptr<nn::Encoder> fresh = std::make_unique<Breaking>(broken, hidden);
          return fresh;
        });
  }
  // As a lane's step would.
  bool run(const nn::Encoder& model) {
    return executor_
        .try_call([&](ops::Context& context) -> Status {
          const int32_t ids[] = {1}, offsets[] = {0, 1};
          model.forward(context, {.ids = ids, .offsets = offsets},
                        context.workspace.take_mat<float>(1, 4));
          return {};
        })
        .ok();
  }
  template <class Condition>
  bool until(Condition condition) {
    for (int i = 0; i < 20000 && !condition(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return condition();
  }

  std::atomic<bool> broken{false}, load_fails{false}, load_throws{false};
  std::atomic<int32_t> hidden{4};
  std::atomic<int> rebuilt{0}, failed{0}, openings{0};
  SteadyClock clock_;
  engine::DeviceExecutor executor_{{.threads = 1}, clock_};
  ModelKeeper keeper_{
      {.failures_max = 3, .open_time = std::chrono::hours(1)}, executor_, clock_, {}};
};

TEST_F(ModelKeeperTest, ABrokenModelIsLoadedAgain) {
  const auto model = guard();
  EXPECT_TRUE(run(*model));
  EXPECT_EQ(keeper_.breaker("m").state(), BreakerState::kClosed);
  broken = true;
  load_fails = true;
  EXPECT_FALSE(run(*model));
  EXPECT_FALSE(model->ready());
  const auto refused = keeper_.breaker("m").enter();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().reason, "circuit_open");
  EXPECT_FALSE(run(*model)) << "nothing runs meanwhile";
  ASSERT_TRUE(until([&] { return failed == 1; }));
  EXPECT_EQ(keeper_.breaker("m").state(), BreakerState::kOpen);
  broken = load_fails = false;
  ASSERT_TRUE(until([&] { return rebuilt == 1; })) << "it is tried again";
  ASSERT_TRUE(until([&] { return keeper_.breaker("m").state() == BreakerState::kClosed; }));
  EXPECT_TRUE(model->ready());
  EXPECT_TRUE(run(*model));
  EXPECT_EQ(openings, 1);
  EXPECT_EQ(alive_most, 1) << "the old one is gone before the new one comes";
  keeper_.stop();
}

// What cannot take the old one's place is refused: no memory, a model that breaks at once, another
// shape.
TEST_F(ModelKeeperTest, WhatDoesNotWorkIsNotPut) {
  const auto model = guard();
  broken = true;
  load_throws = true;
  EXPECT_FALSE(run(*model));
  ASSERT_TRUE(until([&] { return failed == 1; }));
  load_throws = false;
  ASSERT_TRUE(until([&] { return failed == 2; })) << "still broken";
  broken = false;
  hidden = 8;
  ASSERT_TRUE(until([&] { return failed == 3; })) << "another shape";
  EXPECT_FALSE(model->ready());
  EXPECT_EQ(keeper_.breaker("m").state(), BreakerState::kOpen);
  keeper_.stop();
}

TEST(ModelKeeper, BackoffGrowsToAMinute) {
  using std::chrono::seconds;
  EXPECT_EQ(ModelKeeper::backoff(1), seconds(1));
  EXPECT_EQ(ModelKeeper::backoff(2), seconds(2));
  EXPECT_EQ(ModelKeeper::backoff(6), seconds(32));
  EXPECT_EQ(ModelKeeper::backoff(7), seconds(60));
  EXPECT_EQ(ModelKeeper::backoff(1000), seconds(60));
}

}  // namespace
}  // namespace sis::server
