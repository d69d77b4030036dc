// What a decode step asks of the heap. Replaces operator new of this program to count, except under
// sanitizers, which bring their own.
#include <cstdlib>
#include <deque>
#include <new>

#include "infer/engine/generator_fixture.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {
thread_local int64_t allocations = 0;  // of this thread
}

void* operator new(size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace sis::engine {
namespace {

struct QuietSink final : TokenSink {
  bool on_token(int32_t, const TokenEvent&) override { return true; }
  void on_finish(int32_t, Finish) override {}
  void on_end(Result<GenerateStats>) override {}
};

// 32 sequences decoding: now and then a list grows, most steps allocate nothing at all.
TEST(GeneratorAllocation, DecodeStepsHardlyAllocate) {
  LaneBench bench({.sequences_max = 32, .step_tokens_max = 256});
  std::deque<std::unique_ptr<Generator::Ticket>> tickets;
  for (int i = 0; i < 32; ++i) {
    GenerateRequest request;
    request.prompt.assign(static_cast<size_t>(3 + i), i);
    request.tokens_max = 300;
    request.sampling = {
        .temperature = 0.7f, .top_p = 0.9f, .presence_penalty = i % 2 ? 1.0f : 0.0f};
    request.logprobs = i % 4 == 0 ? 2 : -1;
    tickets.push_back(std::move(*bench.lane->submit(request, std::make_shared<QuietSink>())));
  }
  for (int i = 0; i < 20; ++i) bench.step();
  const int64_t before = allocations;
  int quiet = 0;
  for (int i = 0; i < 200; ++i) {
    const int64_t step_before = allocations;
    bench.step();
    quiet += allocations == step_before;
  }
  RecordProperty("allocations", static_cast<int>(allocations - before));
  EXPECT_EQ(bench.lane->gauges().running, 32);
  EXPECT_LT(allocations - before, 200);  // one a step, for 32 sequences
  EXPECT_GT(quiet, 150);
}

}  // namespace
}  // namespace sis::engine

#endif
