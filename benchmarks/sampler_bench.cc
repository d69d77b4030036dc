// What choosing a token costs per row, by option and by the shape of the distribution.
//
//   sampler_bench [--smoke] [--isa LEVEL] [--seed N] [--rounds N] [--vocab N]
//
// One core, in its thread's CPU time, microseconds per row: p50 and p10 of the rounds (neighbours
// that take turns on the core leave cold caches behind: p10 shows it without). A batch of 1 finds
// its logits in the cache, a batch of 32 mostly does not. "peaked" is how trained models answer:
// normal logits (sigma 2.5) and 40 tokens that stand out by 6 to 14; "flat" is a model that knows
// nothing: normal logits, sigma 1.

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/rng.h"
#include "bench_options.h"
#include "infer/engine/sampler.h"

namespace sis::engine {
namespace {

using bench::cpu_s;
using bench::percentile;

struct Options : bench::Options {
  int32_t vocab = 150000;
};

struct Case {
  const char* name;
  Sampling sampling;
  bool penalties = false;
  double allowed = 1;  // share of the vocabulary in the mask
  int32_t logprobs = -1;
};

std::vector<float> make_logits(const Options& options, bool peaked, int64_t rows) {
  Rng rng(options.seed);
  std::vector<float> table(1 << 16);
  for (float& x : table) x = static_cast<float>((peaked ? 2.5 : 1.0) * rng.normal());
  std::vector<float> logits(static_cast<size_t>(rows * options.vocab));
  for (float& x : logits)
    x = table[rng.next() >> 48] + static_cast<float>(1e-4 * rng.uniform());  // few ties
  if (peaked)
    for (int64_t r = 0; r < rows; ++r)
      for (int i = 0; i < 40; ++i)
        logits[static_cast<size_t>(r * options.vocab) +
               rng.below(static_cast<uint64_t>(options.vocab))] +=
            static_cast<float>(6 + 8 * rng.uniform());
  return logits;
}

void measure(const Options& options, const Case& test, bool peaked, int64_t batch,
             const std::vector<float>& logits) {
  ThreadTeam team({.workers = 1});
  Workspace workspace;
  ops::Context context{team, workspace, options.isa};
  Rng rng(options.seed + 1);
  TokenCounts counts;
  for (int i = 0; i < 500; ++i)
    counts.add_generated(static_cast<int32_t>(rng.below(static_cast<uint64_t>(options.vocab))));
  std::vector<uint64_t> mask(static_cast<size_t>(options.vocab + 63) / 64, 0);
  for (int32_t id = 0; id < options.vocab; ++id)
    if (rng.uniform() < test.allowed) mask[static_cast<size_t>(id) / 64] |= 1ull << (id % 64);
  std::vector<TokenLogprob> top(static_cast<size_t>(std::max(0, test.logprobs)));
  std::vector<SampleRow> rows(static_cast<size_t>(batch));
  int32_t position = 0;
  const auto call = [&] {
    for (int64_t r = 0; r < batch; ++r)
      rows[static_cast<size_t>(r)] = {.logits = logits.data() + r * options.vocab,
                                      .sampling = &test.sampling,
                                      .seed = options.seed,
                                      .position = position,
                                      .counts = test.penalties ? &counts : nullptr,
                                      .allowed = test.allowed < 1 ? mask.data() : nullptr,
                                      .logprob_wanted = test.logprobs >= 0,
                                      .top = top};
    ++position;
    sample_rows(context, rows, options.vocab);
    workspace.reset();
  };
  call(), call();
  const int calls = options.smoke ? 1 : batch == 1 ? 8 : 1;
  std::vector<double> us;
  for (int round = 0; round < (options.smoke ? 2 : options.rounds); ++round) {
    const double begin = cpu_s();
    for (int i = 0; i < calls; ++i) call();
    us.push_back(1e6 * (cpu_s() - begin) / calls / static_cast<double>(batch));
  }
  std::printf("%-28s %-6s batch %2lld  p50 %7.1f  p10 %7.1f us/row\n", test.name,
              peaked ? "peaked" : "flat", static_cast<long long>(batch), percentile(us, 50),
              percentile(us, 10));
  std::fflush(stdout);
}

int run(const Options& options) {
  flush_denormals();
  bench::print_machine(options, 1);
  std::printf("# vocabulary %d\n", options.vocab);
  const Case cases[] = {
      {.name = "greedy", .sampling = {.temperature = 0}},
      {.name = "temperature 0.7", .sampling = {.temperature = 0.7f}},
      {.name = "0.7, top_p 0.9", .sampling = {.temperature = 0.7f, .top_p = 0.9f}},
      {.name = "0.7, top_k 50", .sampling = {.temperature = 0.7f, .top_k = 50}},
      {.name = "0.6, top_k 20, top_p 0.95",
       .sampling = {.temperature = 0.6f, .top_p = 0.95f, .top_k = 20}},
      {.name = "0.7, min_p 0.05", .sampling = {.temperature = 0.7f, .min_p = 0.05f}},
      {.name = "0.7, top_p 0.9, penalties",
       .sampling = {.temperature = 0.7f, .top_p = 0.9f, .presence_penalty = 1},
       .penalties = true},
      {.name = "0.7, top_p 0.9, mask 90 %",
       .sampling = {.temperature = 0.7f, .top_p = 0.9f},
       .allowed = 0.9},
      {.name = "0.7, top_p 0.9, mask 0.1 %",
       .sampling = {.temperature = 0.7f, .top_p = 0.9f},
       .allowed = 0.001},
      {.name = "greedy, 5 logprobs", .sampling = {.temperature = 0}, .logprobs = 5},
      {.name = "0.7, top_p 0.9, 5 logprobs",
       .sampling = {.temperature = 0.7f, .top_p = 0.9f},
       .logprobs = 5},
  };
  for (const bool peaked : {true, false}) {
    const auto logits = make_logits(options, peaked, options.smoke ? 2 : 32);
    for (const Case& test : cases)
      for (const int64_t batch : {1, options.smoke ? 2 : 32})
        measure(options, test, peaked, batch, logits);
  }
  return 0;
}

}  // namespace
}  // namespace sis::engine

int main(int argc, char** argv) {
  sis::engine::Options options;
  options.rounds = 51;
  const auto take_vocab = [&](const std::string& text) {
    return sis::bench::read_number(text, options.vocab) && options.vocab >= 100 &&
           options.vocab <= 1000000;
  };
  if (!sis::bench::parse(argc, argv, "sampler_bench", options, {{"--vocab", "N", take_vocab}}))
    return 2;
  return sis::engine::run(options);
}
