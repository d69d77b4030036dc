#include "serve/tasks/grammar_cache.h"

#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <new>
#include <thread>

namespace sis::tasks {
namespace {

// Only counted, never matched.
class SizedGrammar final : public text::Grammar {
 public:
  explicit SizedGrammar(size_t bytes) : bytes_(bytes) {}
  std::unique_ptr<text::GrammarMatcher> start() const override { return nullptr; }
  size_t bytes() const override { return bytes_; }

 private:
  const size_t bytes_;
};

GrammarCache::Made made(size_t bytes) {
  return std::shared_ptr<const text::Grammar>(std::make_shared<SizedGrammar>(bytes));
}

// Whether `key` had to be made.
bool misses(GrammarCache& cache, const std::string& key, size_t bytes = 1) {
  bool missed = false, answered = false;
  cache.get(
      key,
      [&] {
        missed = true;
        return made(bytes);
      },
      [&](GrammarCache::Made grammar) { answered = grammar.ok(); });
  EXPECT_TRUE(answered);
  return missed;
}

TEST(GrammarCache, KeepsTheLatest) {
  GrammarCache cache({.entries = 2, .bytes = 1000});
  EXPECT_TRUE(misses(cache, "a"));
  EXPECT_TRUE(misses(cache, "b"));
  EXPECT_FALSE(misses(cache, "a"));
  EXPECT_TRUE(misses(cache, "c"));  // b goes
  EXPECT_FALSE(misses(cache, "a"));
  EXPECT_TRUE(misses(cache, "b"));
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_EQ(cache.find("c"), nullptr);
  EXPECT_NE(cache.find("a"), nullptr);  // and is the latest now
  EXPECT_TRUE(misses(cache, "d"));      // b goes
  EXPECT_FALSE(misses(cache, "a"));
}

TEST(GrammarCache, BoundedByMemory) {
  GrammarCache cache({.entries = 10, .bytes = 100});
  EXPECT_TRUE(misses(cache, "a", 60));
  EXPECT_TRUE(misses(cache, "b", 60));  // a goes
  EXPECT_TRUE(misses(cache, "a", 30));
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_TRUE(misses(cache, "huge", 101));  // not kept, and nothing else either
  EXPECT_EQ(cache.size(), 0u);
}

// Grammars grow while they are used: the bound holds on the next use, not on the next new grammar.
TEST(GrammarCache, BoundedWhileGrammarsGrow) {
  class Growing final : public text::Grammar {
   public:
    std::unique_ptr<text::GrammarMatcher> start() const override { return nullptr; }
    size_t bytes() const override { return size; }
    size_t size = 10;
  };
  GrammarCache cache({.entries = 10, .bytes = 100});
  const auto grows = std::make_shared<Growing>();
  cache.get(
      "a", [&] { return GrammarCache::Made(std::shared_ptr<const text::Grammar>(grows)); },
      [](const GrammarCache::Made&) {});
  EXPECT_TRUE(misses(cache, "b", 60));
  grows->size = 60;
  EXPECT_FALSE(misses(cache, "b"));
  EXPECT_EQ(cache.size(), 1u) << "a goes";
  EXPECT_TRUE(misses(cache, "a"));
}

// What throws while it is made is an error for all who wait for it, and is made anew for the next.
TEST(GrammarCache, AnExceptionIsAnError) {
  GrammarCache cache({});
  std::vector<Code> heard;
  const auto done = [&](const GrammarCache::Made& made) {
    heard.push_back(made.ok() ? Code::kCancelled : made.error().code);
  };
  cache.get(
      "a",
      [&]() -> GrammarCache::Made {
        cache.get(
            "a", [] { return made(1); }, done);  // joins
        throw std::bad_alloc();
      },
      done);
  EXPECT_EQ(heard, (std::vector<Code>{Code::kInternal, Code::kInternal}));
  EXPECT_TRUE(misses(cache, "a"));
}

TEST(GrammarCache, ForgetsErrors) {
  GrammarCache cache({});
  for (int round = 0; round < 2; ++round) {
    int made_count = 0;
    Code code{};
    cache.get(
        "a",
        [&] {
          ++made_count;
          return GrammarCache::Made(Error{Code::kInvalidArgument, "bad"});
        },
        [&](GrammarCache::Made grammar) { code = grammar.error().code; });
    EXPECT_EQ(made_count, 1);
    EXPECT_EQ(code, Code::kInvalidArgument);
  }
  EXPECT_EQ(cache.size(), 0u);
}

// Who asks while one is being made waits without a thread and gets the same grammar.
TEST(GrammarCache, MakesOneAtATime) {
  GrammarCache cache({});
  std::latch making(1), go_on(1);
  std::promise<std::shared_ptr<const text::Grammar>> first, second;
  std::thread maker([&] {
    cache.get(
        "a",
        [&] {
          making.count_down();
          go_on.wait();
          return made(1);
        },
        [&](GrammarCache::Made grammar) { first.set_value(*grammar); });
  });
  making.wait();
  cache.get(
      "a",
      [&]() -> GrammarCache::Made {
        return Error{Code::kInternal, "made twice"};
      },
      [&](GrammarCache::Made grammar) { second.set_value(*grammar); });
  auto waiting = second.get_future();
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(1)), std::future_status::timeout);
  go_on.count_down();
  EXPECT_EQ(first.get_future().get(), waiting.get());
  maker.join();
}

}  // namespace
}  // namespace sis::tasks
