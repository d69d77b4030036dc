// How requests wait, end, fail and are cancelled; what is refused.
#include <cmath>
#include <deque>
#include <new>
#include <stdexcept>

#include "infer/engine/generator_fixture.h"

namespace sis::engine {
namespace {

TEST(Generator, RefusesBadRequestsByName) {
  LaneBench bench({.context_max = 50});
  const auto fault = [&](auto&& change) {
    GenerateRequest request = greedy({1, 2, 3}, 4);
    change(request);
    const auto call = bench.try_submit(std::move(request));
    if (call.ok()) return std::string("accepted");
    EXPECT_EQ(call.error().code, Code::kInvalidArgument);
    return call.error().param + " " + call.error().reason;
  };
  EXPECT_EQ(fault([](auto& r) { r.prompt = {}; }), "prompt ");
  EXPECT_EQ(fault([](auto& r) { r.prompt = {1, 100}; }), "prompt ");
  EXPECT_EQ(fault([](auto& r) { r.prompt = {-1}; }), "prompt ");
  EXPECT_EQ(fault([](auto& r) { r.prompt.assign(50, 1); }), "prompt context_length_exceeded");
  EXPECT_EQ(fault([](auto& r) { r.prompt.assign(49, 1); }), "accepted");
  EXPECT_EQ(fault([](auto& r) { r.prompt.assign(50, 1), r.tokens_max = 0; }), "accepted");
  EXPECT_EQ(fault([](auto& r) { r.prompt.assign(51, 1), r.tokens_max = 0; }),
            "prompt context_length_exceeded");
  EXPECT_EQ(fault([](auto& r) { r.tokens_max = -1; }), "tokens_max ");
  EXPECT_EQ(fault([](auto& r) { r.tokens_min = -1; }), "tokens_min ");
  EXPECT_EQ(fault([](auto& r) { r.choices = 0; }), "choices ");
  EXPECT_EQ(fault([](auto& r) { r.choices = 129; }), "choices ");
  EXPECT_EQ(fault([](auto& r) { r.logprobs = 33; }), "logprobs ");
  EXPECT_EQ(fault([](auto& r) { r.stop_ids = {100}; }), "stop_ids ");
  EXPECT_EQ(fault([](auto& r) { r.eos_ids = {100, -7}; }), "accepted");
  EXPECT_EQ(fault([](auto& r) { r.sampling.top_p = 0; }), "top_p ");
  bench.run();
}

// A step that fails ends what was admitted and forgets all prefixes; who waits is served later.
TEST(Generator, AFailedStepEndsWhatRuns) {
  LaneBench bench({.sequences_max = 2, .context_max = 200});
  Rng rng(5);
  const auto prompt = random_prompt(rng, 70);
  const auto wanted = bench.tokens(greedy(prompt, 20));
  EXPECT_GT(bench.lane->gauges().blocks_cached, 0);
  GenerateRequest two = greedy(prompt, 20);
  two.choices = 2;
  const Call one = bench.submit(greedy(prompt, 20)), pair = bench.submit(std::move(two)),
             waits = bench.submit(greedy(prompt, 20));
  bench.step();
  bench.step();
  ASSERT_TRUE(one.record->admitted);
  ASSERT_FALSE(waits.record->admitted);
  bench.decoder.during_forward = [] { throw std::bad_alloc(); };
  EXPECT_THROW(bench.step(), std::bad_alloc);
  bench.decoder.during_forward = nullptr;
  bench.workspace.reset();
  bench.lane->failed("bad_alloc");
  for (const Call* call : {&one, &pair}) {
    if (!call->record->admitted) continue;
    ASSERT_TRUE(call->record->error);
    EXPECT_EQ(call->record->error->code, Code::kInternal);
  }
  EXPECT_FALSE(waits.record->ended);
  EXPECT_EQ(bench.lane->gauges().blocks_cached, 0);
  EXPECT_EQ(bench.lane->gauges().blocks_used, 0);
  bench.run();
  EXPECT_EQ(waits.record->tokens[0], wanted);
  EXPECT_EQ(waits.record->admitted->cached_tokens, 0);
  EXPECT_EQ(bench.tokens(greedy(prompt, 20)), wanted);
  bench.expect_nothing_held();
}

TEST(Generator, EndsChoicesAsAsked) {
  LaneBench bench({.context_max = 60});
  const GenerateRequest plain = greedy({5, 6, 7}, 12);
  const auto tokens = bench.tokens(plain);
  ASSERT_EQ(tokens.size(), 12u);
  const int32_t fourth = tokens[3];
  ASSERT_EQ(std::ranges::count(tokens.begin(), tokens.begin() + 4, fourth), 1);
  const auto outcome = [&](auto&& change) {
    GenerateRequest request = plain;
    Call call;
    change(request, *call.record);
    auto ticket = bench.lane->submit(std::move(request), call.record);
    EXPECT_TRUE(ticket.ok());
    bench.run();
    EXPECT_TRUE(call.record->end_stats);
    return std::pair(call.record->finishes.at(0), call.record->tokens[0]);
  };
  const std::vector<int32_t> four(tokens.begin(), tokens.begin() + 4);
  using Tokens = std::vector<int32_t>;
  EXPECT_EQ(outcome([&](auto& r, auto&) {
              r.eos_ids = {100, fourth};
            }),
            std::pair(Finish::kEos, four));
  EXPECT_EQ(outcome([&](auto& r, auto&) { r.stop_ids = {fourth}; }),
            std::pair(Finish::kStopId, four));
  EXPECT_EQ(outcome([&](auto&, auto& record) { record.tokens_wanted = 4; }),
            std::pair(Finish::kSink, four));
  EXPECT_EQ(outcome([&](auto& r, auto&) { r.eos_ids = {fourth}, r.ignore_eos = true; }),
            std::pair(Finish::kLength, tokens));
  EXPECT_EQ(outcome([&](auto& r, auto&) { r.tokens_max = 1; }),
            std::pair(Finish::kLength, Tokens{tokens[0]}));
  // Until tokens_min the end is not even sampled: another token takes its place.
  const auto [finish, later] = outcome(
      [&](auto& r, auto&) { r.eos_ids = {fourth}, r.stop_ids = {tokens[1]}, r.tokens_min = 8; });
  EXPECT_EQ(later[0], tokens[0]);
  EXPECT_NE(later[1], tokens[1]);
  for (size_t i = 0; i < std::min<size_t>(8, later.size()); ++i)
    EXPECT_TRUE(later[i] != fourth && later[i] != tokens[1]);
  EXPECT_GE(later.size(), 8u);
  // The context is full: 60 tokens, prompt included.
  const auto [full, all] = outcome([&](auto& r, auto&) { r.tokens_max = 1000; });
  EXPECT_EQ(full, Finish::kLength);
  EXPECT_EQ(all.size(), 57u);
  bench.expect_nothing_held();
}

TEST(Generator, RefusesAtOnceWhenTheLineIsFull) {
  LaneBench bench({.sequences_max = 1, .queue_requests_max = 2});
  const Call running = bench.submit(greedy({1}, 30));
  bench.step();
  EXPECT_EQ(bench.lane->gauges().running, 1);
  Call a = bench.submit(greedy({2}, 3)), b = bench.submit(greedy({3}, 3));
  EXPECT_EQ(bench.lane->gauges().waiting, 2);
  const auto refused = bench.try_submit(greedy({4}, 3));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kOverloaded);
  b.drop();  // makes room within a step
  bench.step();
  EXPECT_EQ(bench.lane->gauges().waiting, 1);
  const Call c = bench.submit(greedy({4}, 3));
  bench.run();
  EXPECT_TRUE(running.record->end_stats && a.record->end_stats && c.record->end_stats);
  bench.expect_nothing_held();
}

TEST(Generator, RefusesWhoWaitedTooLong) {
  LaneBench bench({.sequences_max = 1, .queue_wait_max = from_ms(10)});
  const Call running = bench.submit(greedy({1}, 30));
  bench.step();
  const Call late = bench.submit(greedy({2}, 3));
  for (int i = 0; i < 11; ++i) {
    EXPECT_FALSE(late.record->ended);
    bench.step();
  }
  bench.step();
  ASSERT_TRUE(late.record->error);
  EXPECT_EQ(late.record->error->code, Code::kOverloaded);
  EXPECT_EQ(late.record->order, "e");
  bench.run();
  EXPECT_TRUE(running.record->end_stats);
  bench.expect_nothing_held();
}

TEST(Generator, ServesInOrderOfArrivalAndTellsTheTimes) {
  LaneBench bench({.sequences_max = 2, .step_tokens_max = 10, .queue_wait_max = Duration{}});
  std::deque<Call> calls;
  for (int i = 0; i < 20; ++i)
    calls.push_back(
        bench.submit(greedy(std::vector<int32_t>(static_cast<size_t>(1 + 7 * (i % 3)), i), 5)));
  bench.run();
  for (size_t i = 1; i < 20; ++i)
    EXPECT_LE(calls[i - 1].record->admitted->queue, calls[i].record->admitted->queue);
  EXPECT_GT(calls[19].record->end_stats->queue, from_ms(10));
  EXPECT_EQ(bench.observer.admissions, 20);
  // A prompt of 15 tokens in chunks of 10 gets its first token in its second step.
  const Call call = bench.submit(greedy(std::vector<int32_t>(15, 50), 2));
  bench.run();
  EXPECT_EQ(call.record->end_stats->prefill, from_ms(1));
  EXPECT_EQ(call.record->end_stats->prompt_tokens, 15);
}

TEST(Generator, WaitsForCompanyWhenIdle) {
  LaneBench bench({.sequences_max = 2, .idle_window = from_ms(5)});
  const Call a = bench.submit(greedy({1}, 3));
  EXPECT_TRUE(bench.ready());  // to take it in
  bench.lane->step(bench.context);
  EXPECT_FALSE(bench.ready());
  EXPECT_EQ(*bench.lane->ready_at(bench.clock.now()), bench.clock.now() + from_ms(5));
  EXPECT_EQ(bench.decoder.steps, 0);
  bench.clock.advance(from_ms(2));
  const Call b = bench.submit(greedy({2}, 3));
  bench.run();
  EXPECT_EQ(bench.decoder.steps, 3);  // both together
  EXPECT_EQ(bench.observer.decode, 4);
}

TEST(Generator, LogprobsAreTheModelsOwn) {
  LaneBench bench({.step_tokens_max = 17});
  Rng rng(4);
  GenerateRequest request = greedy(random_prompt(rng, 150), 5);
  request.sampling.temperature = 0.7f;
  request.sampling.logit_bias = {{7, 3.0f}};
  request.logprobs = 3;
  request.prompt_logprobs = true;
  const Call call = bench.submit(request);
  const Call same = bench.submit(request);  // finds blocks, and must score all the same
  bench.run();
  const Call later = bench.submit(request);
  bench.run();
  EXPECT_LE(bench.decoder.logit_rows_max, 64u + 8u);
  for (const Call* c : {&call, &same, &later}) {
    const Record& record = *c->record;
    EXPECT_EQ(record.order, "apte");
    std::vector<Record::Event> events = record.prompt;
    ASSERT_EQ(events.size(), 149u);
    events.insert(events.end(), record.events.at(0).begin(), record.events.at(0).end());
    auto tokens = request.prompt;
    tokens.insert(tokens.end(), record.tokens.at(0).begin(), record.tokens.at(0).end());
    ASSERT_EQ(events.size() + 1, tokens.size());
    for (size_t i = 0; i < events.size(); ++i) {
      const auto logits = bench.decoder.logits_of(std::span(tokens).first(i + 1));
      double sum = 0;
      for (const float l : logits) sum += std::exp(static_cast<double>(l));
      const auto logprob = [&](int32_t id) {
        return static_cast<double>(logits[static_cast<size_t>(id)]) - std::log(sum);
      };
      EXPECT_EQ(events[i].id, tokens[i + 1]);
      EXPECT_NEAR(events[i].logprob, logprob(events[i].id), 1e-5);
      ASSERT_EQ(events[i].top.size(), 3u);
      EXPECT_EQ(events[i].top[0].id,
                std::max_element(logits.begin(), logits.end()) - logits.begin());
      for (const auto& top : events[i].top) EXPECT_NEAR(top.logprob, logprob(top.id), 1e-5);
    }
  }
}

TEST(Generator, ScoresPromptsWithoutGenerating) {
  LaneBench bench({.step_tokens_max = 300});
  Rng rng(5);
  for (const size_t length : {size_t{1}, size_t{2}, size_t{200}}) {
    GenerateRequest request = greedy(random_prompt(rng, length), 0);
    request.prompt_logprobs = true;
    request.choices = 2;
    const Call call = bench.submit(request);
    bench.run();
    EXPECT_EQ(call.record->order, "ape");
    EXPECT_EQ(call.record->prompt.size(), length - 1);
    EXPECT_EQ(call.record->finishes,
              (std::map<int32_t, Finish>{{0, Finish::kLength}, {1, Finish::kLength}}));
  }
  EXPECT_EQ(bench.decoder.logit_rows_max, 64u);
  bench.expect_nothing_held();
}

TEST(Generator, NotFiniteLogitsEndTheirRequestOnly) {
  LaneBench bench;
  const auto want = bench.tokens(greedy({1, 2, 3}, 8));
  const Call good = bench.submit(greedy({1, 2, 3}, 8));
  GenerateRequest request = greedy({4, 42}, 8);
  request.choices = 3;
  const Call bad = bench.submit(request);
  bench.decoder.poison = 42;
  ASSERT_EQ(std::ranges::count(want, 42), 0);
  bench.run();
  EXPECT_EQ(good.record->tokens[0], want);
  ASSERT_TRUE(bad.record->error);
  EXPECT_EQ(bad.record->error->code, Code::kInternal);
  EXPECT_EQ(bad.record->order, "ae");
  bench.expect_nothing_held();
}

// Dropped while its step is computed: the rows were for nobody, the others go on.
TEST(Generator, CancellingDuringAStepReleasesWithinIt) {
  LaneBench bench;
  const auto want = bench.tokens(greedy({9, 9}, 10));
  const Call stays = bench.submit(greedy({9, 9}, 10));
  Call goes = bench.submit(greedy(std::vector<int32_t>(40, 3), 10));
  bench.step(), bench.step();
  EXPECT_EQ(goes.record->tokens[0].size(), 2u);
  bench.decoder.during_forward = [&] { goes.drop(); };
  bench.step();
  bench.decoder.during_forward = nullptr;
  EXPECT_EQ(goes.record->tokens[0].size(), 2u);
  EXPECT_EQ(bench.observer.after_cancel, 1);
  EXPECT_EQ(bench.lane->gauges().running, 1);
  EXPECT_EQ(bench.lane->gauges().blocks_used, 1);
  bench.run();
  EXPECT_EQ(stays.record->tokens[0], want);
  EXPECT_EQ(bench.observer.after_cancel, 1);
  bench.expect_nothing_held();
}

// Dropped between steps: not a row is computed for it.
TEST(Generator, CancellingBetweenStepsComputesNothingMore) {
  LaneBench bench;
  Call call = bench.submit(greedy({1}, 10));
  bench.step();
  call.drop();
  EXPECT_TRUE(bench.ready());
  bench.step();
  EXPECT_EQ(bench.decoder.steps, 1);
  EXPECT_EQ(bench.observer.after_cancel, 0);
  EXPECT_FALSE(bench.ready());
  Call never = bench.submit(greedy({1}, 10));
  never.drop();
  bench.run();
  EXPECT_EQ(bench.decoder.steps, 1);
  EXPECT_TRUE(never.record->order.empty());
  bench.expect_nothing_held();
}

// A sink may drop its own ticket inside a callback; nothing follows.
TEST(Generator, SinkMayDropItsTicket) {
  LaneBench bench;
  Call call = bench.submit(greedy({1}, 10));
  Record* const record = call.record.get();
  record->when_token = [&] {
    if (record->tokens[0].size() == 3) call.drop();
  };
  bench.run();
  EXPECT_EQ(record->tokens[0].size(), 3u);
  EXPECT_EQ(record->order, "at");
  bench.expect_nothing_held();
}

// Text of the tokens 10, 11, 12 three to six times, then maybe 99; 20 and 21 are the only starts.
// `short_text`: nothing but 99 behind the third.
class CountingGrammar final : public text::Grammar {
 public:
  explicit CountingGrammar(bool short_text = false) : short_text_(short_text) {}
  class Matcher final : public text::GrammarMatcher {
   public:
    explicit Matcher(bool short_text) : short_text_(short_text) {}
    void mask(std::span<uint64_t> words) override {
      std::ranges::fill(words, 0);
      for (const int32_t id : allowed()) words[static_cast<size_t>(id) / 64] |= 1ull << (id % 64);
    }
    bool accept(int32_t token) override {
      const auto ids = allowed();
      if (std::ranges::find(ids, token) == ids.end() || token == 99) return false;
      ++length_;
      return true;
    }
    bool complete() const override { return length_ >= 4; }
    bool finished() const override { return length_ == 7; }
    bool exhausted() const override { return false; }
    std::unique_ptr<GrammarMatcher> clone() const override {
      return std::make_unique<Matcher>(*this);
    }

   private:
    std::vector<int32_t> allowed() const {
      if (length_ == 0) return {20, 21};
      if (length_ >= 4 && short_text_) return {99};
      if (length_ >= 4) return {10, 11, 12, 99};
      return {10, 11, 12};
    }
    bool short_text_;
    int length_ = 0;
  };
  std::unique_ptr<text::GrammarMatcher> start() const override {
    return std::make_unique<Matcher>(short_text_);
  }
  size_t bytes() const override { return sizeof *this; }

 private:
  const bool short_text_;
};

// The pool's thread may be busy with something long: a step must not wait for it.
TEST(Generator, MasksDoNotWaitForABusyPool) {
  LaneBench bench;
  std::atomic<bool> busy{false}, release{false};
  ASSERT_TRUE(bench.masks.post([&] {
    busy = true;
    busy.notify_one();
    release.wait(false);
  }));
  busy.wait(false);
  GenerateRequest request = greedy({1, 3}, 30);
  request.grammar = std::make_shared<CountingGrammar>();
  request.eos_ids = {99};
  const auto tokens = bench.tokens(std::move(request));
  EXPECT_GE(tokens.size(), 4u);
  EXPECT_LE(tokens.size(), 8u);
  EXPECT_FALSE(release);
  release = true;
  release.notify_one();
}

TEST(Generator, StaysInsideTheGrammar) {
  LaneBench bench({.sequences_max = 20});
  std::deque<Call> calls;
  for (int i = 0; i < 12; ++i) {  // more masks at once than the pool's queue takes
    GenerateRequest request = greedy({i, 3}, 30);
    request.sampling = {.seed = static_cast<uint64_t>(i)};
    request.grammar = std::make_shared<CountingGrammar>();
    request.choices = 1 + i % 2;
    request.eos_ids = {99};
    request.ignore_eos = i % 3 == 0;
    calls.push_back(bench.submit(request));
  }
  bench.run();
  int ends = 0;
  for (size_t i = 0; i < 12; ++i)
    for (const auto& [choice, tokens] : calls[i].record->tokens) {
      const Finish finish = calls[i].record->finishes.at(choice);
      EXPECT_TRUE(tokens[0] == 20 || tokens[0] == 21);
      const size_t text = tokens.size() - (finish == Finish::kEos);
      for (size_t t = 1; t < text; ++t) EXPECT_TRUE(tokens[t] >= 10 && tokens[t] <= 12);
      if (finish == Finish::kEos) {
        EXPECT_EQ(tokens.back(), 99);
        EXPECT_GE(text, 4u);
        EXPECT_NE(i % 3, 0u);
        ++ends;
      } else {
        EXPECT_EQ(finish, Finish::kGrammar);
        EXPECT_EQ(text, 7u);
      }
    }
  EXPECT_GT(ends, 2);
  bench.expect_nothing_held();
}

// Where no token is allowed a complete text ends, and one that is not fails: it is no answer.
TEST(Generator, NothingAllowedEndsOnlyWhatIsComplete) {
  LaneBench bench;
  GenerateRequest request = greedy({1}, 30);
  request.grammar = std::make_shared<CountingGrammar>();
  request.stop_ids = {20, 21};
  request.tokens_min = 2;
  Call call = bench.submit(request);
  bench.run();
  EXPECT_TRUE(call.record->finishes.empty());
  EXPECT_TRUE(call.record->tokens[0].empty());
  ASSERT_TRUE(call.record->error.has_value());
  EXPECT_EQ(call.record->error->code, Code::kInvalidArgument) << "the request's fault";
  EXPECT_EQ(call.record->error->message,
            "no token may follow token 0 of the answer, which the grammar does not let end there: "
            "it is too ambiguous there, or stop_token_ids, min_tokens and logit_bias leave none");
  // Complete behind four tokens; what could follow may not come yet.
  request.stop_ids = {99};
  request.tokens_min = 30;
  request.grammar = std::make_shared<CountingGrammar>(/*short_text=*/true);
  call = bench.submit(request);
  bench.run();
  EXPECT_EQ(call.record->finishes.at(0), Finish::kGrammar);
  EXPECT_EQ(call.record->tokens[0].size(), 4u);
  EXPECT_TRUE(call.record->end_stats.has_value());
  bench.expect_nothing_held();
}

// A mask that cannot be made fails its own request; its companion of the same step goes on.
TEST(Generator, AMaskThatFailsCostsItsRequestOnly) {
  class Faulty final : public text::Grammar {
   public:
    std::unique_ptr<text::GrammarMatcher> start() const override {
      throw std::runtime_error("no memory for a matcher");
    }
    size_t bytes() const override { return sizeof *this; }
  };
  LaneBench bench;
  GenerateRequest request = greedy({1}, 30);
  request.grammar = std::make_shared<Faulty>();
  request.choices = 2;
  const Call faulty = bench.submit(request), fine = bench.submit(greedy({2}, 5));
  bench.run();
  ASSERT_TRUE(faulty.record->error.has_value());
  EXPECT_EQ(faulty.record->error->code, Code::kInternal);
  EXPECT_EQ(bench.observer.failures, std::vector<std::string>{"no memory for a matcher"});
  EXPECT_EQ(fine.record->tokens[0].size(), 5u);
  bench.expect_nothing_held();
}

// While a model is rebuilt nothing is computed, but who waits too long is told and who has left is
// forgotten.
TEST(Generator, AModelThatIsNotReadyKeepsNobodyTooLong) {
  LaneBench bench({.queue_wait_max = from_ms(50)});
  bench.decoder.usable = false;
  const Call late = bench.submit(greedy({1}, 5));
  Call leaves = bench.submit(greedy({2}, 5));
  bench.run();
  EXPECT_EQ(bench.lane->gauges().waiting, 2);
  leaves.drop();
  bench.run();
  EXPECT_EQ(bench.lane->gauges().waiting, 1);
  EXPECT_FALSE(late.record->ended);
  const auto at = bench.lane->ready_at(bench.clock.now());
  ASSERT_TRUE(at.has_value());
  bench.clock.advance(*at - bench.clock.now());
  bench.run();
  ASSERT_TRUE(late.record->error.has_value());
  EXPECT_EQ(late.record->error->code, Code::kOverloaded);
  EXPECT_EQ(bench.decoder.steps, 0);
  const Call patient = bench.submit(greedy({3}, 5));
  bench.step();
  bench.decoder.usable = true;
  bench.run();
  EXPECT_EQ(patient.record->tokens[0].size(), 5u);
  bench.expect_nothing_held();
}

}  // namespace
}  // namespace sis::engine
