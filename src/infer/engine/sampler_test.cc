#include "infer/engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "base/rng.h"
#include "infer/engine/sampler_passes.h"
#include "infer/engine/sampler_select.h"

namespace sis::engine {
namespace {

struct Bench {
  explicit Bench(Isa isa = detect_isa(), int workers = 1)
      : team({.workers = workers}), context{team, workspace, isa} {}
  SampleRow sample(SampleRow row, int32_t vocab) {
    sample_rows(context, {&row, 1}, vocab);
    return row;
  }
  ThreadTeam team;
  Workspace workspace;
  ops::Context context;
};

std::vector<float> random_logits(Rng& rng, int32_t vocab, double spread) {
  std::vector<float> logits(static_cast<size_t>(vocab));
  for (float& l : logits) l = static_cast<float>(spread * rng.normal());
  return logits;
}

std::vector<Isa> isas() {
  std::vector<Isa> levels{Isa::kRef};
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512})
    if (isa <= detect_isa()) levels.push_back(isa);
  return levels;
}

// The definition, with a sort and real numbers.
std::set<int32_t> kept_by_sorting(const std::vector<float>& logits, const Sampling& s) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  const double max = logits[static_cast<size_t>(order[0])];
  const auto weight = [&](int32_t id) {
    return std::exp((static_cast<double>(logits[static_cast<size_t>(id)]) - max) /
                    static_cast<double>(s.temperature));
  };
  if (s.top_k > 0 && s.top_k < static_cast<int32_t>(order.size()))
    order.resize(static_cast<size_t>(s.top_k));
  double total = 0;
  for (const int32_t id : order) total += weight(id);
  std::set<int32_t> kept;
  double sum = 0;
  for (const int32_t id : order) {
    if (s.top_p < 1 && sum >= static_cast<double>(s.top_p) * total) break;
    sum += weight(id);
    if (weight(id) >= static_cast<double>(s.min_p)) kept.insert(id);
  }
  return kept;
}

// Who can be drawn at all: the smallest and largest draws and many between.
std::set<int32_t> drawn(Bench& bench, const std::vector<float>& logits, const Sampling& s,
                        int draws) {
  std::set<int32_t> seen;
  const auto vocab = static_cast<int32_t>(logits.size());
  std::vector<SampleRow> rows(static_cast<size_t>(draws));
  for (int i = 0; i < draws; ++i)
    rows[static_cast<size_t>(i)] = {
        .logits = logits.data(), .sampling = &s, .seed = 9, .position = i};
  sample_rows(bench.context, rows, vocab);
  for (const auto& row : rows) seen.insert(row.token);
  return seen;
}

TEST(Sampler, GreedyTakesTheLargestAndTheLowestOfEqualOnes) {
  for (const Isa isa : isas()) {
    Bench bench(isa);
    for (const int32_t vocab : {1, 2, 63, 64, 65, 1000, 4099}) {
      Rng rng(static_cast<uint64_t>(vocab));
      auto logits = random_logits(rng, vocab, 3);
      const Sampling greedy{.temperature = 0, .top_p = 0.5f, .top_k = 3};
      const auto want = std::max_element(logits.begin(), logits.end());
      EXPECT_EQ(bench.sample({.logits = logits.data(), .sampling = &greedy}, vocab).token,
                want - logits.begin());
      const auto low = static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab)));
      logits[static_cast<size_t>(low)] = logits.back() = 50;
      EXPECT_EQ(bench.sample({.logits = logits.data(), .sampling = &greedy}, vocab).token, low);
    }
  }
}

// The kept set is that of the sorted definition: no draw outside, and every likely one is drawn.
TEST(Sampler, KeepsWhatTheSortedDefinitionKeeps) {
  for (const Isa isa : isas()) {
    Bench bench(isa);
    Rng rng(17);
    for (int round = 0; round < 120; ++round) {
      const auto vocab = static_cast<int32_t>(2 + rng.below(round % 10 ? 300 : 5000));
      auto logits = random_logits(rng, vocab, 0.5 + 3 * rng.uniform());
      if (round % 3 == 0)  // many ties
        for (float& l : logits) l = std::round(l);
      Sampling s{.temperature = static_cast<float>(0.3 + 1.5 * rng.uniform())};
      if (round % 2) s.top_p = static_cast<float>(0.05 + 0.9 * rng.uniform());
      if (round % 4 < 2)
        s.top_k = static_cast<int32_t>(1 + rng.below(static_cast<uint64_t>(vocab) + 5));
      if (round % 5 == 0) s.min_p = static_cast<float>(0.3 * rng.uniform());
      const auto want = kept_by_sorting(logits, s);
      const auto got = drawn(bench, logits, s, 800);
      for (const int32_t id : got)
        EXPECT_TRUE(want.contains(id)) << isa_name(isa) << " round " << round << " id " << id;
      // What is kept with a share of 1/50 is drawn in 800 tries but for one in ten millions.
      double total = 0;
      const double max = *std::max_element(logits.begin(), logits.end());
      const auto weight = [&](int32_t id) {
        return std::exp((static_cast<double>(logits[static_cast<size_t>(id)]) - max) /
                        static_cast<double>(s.temperature));
      };
      for (const int32_t id : want) total += weight(id);
      for (const int32_t id : want) {
        if (weight(id) < total / 50) continue;
        EXPECT_TRUE(got.contains(id)) << isa_name(isa) << " round " << round << " id " << id;
      }
    }
  }
}

// The cut itself, token by token: integer weights leave no room for rounding.
TEST(Sampler, CutsAtTheExactToken) {
  for (const Isa isa : isas()) {
    const SamplerPasses& passes = sampler_passes(isa);
    Rng rng(23);
    for (int round = 0; round < 60; ++round) {
      const auto n = static_cast<size_t>(1 + rng.below(3000));
      std::vector<Candidate> candidates(n);
      for (size_t i = 0; i < n; ++i)
        candidates[i] = {static_cast<float>(rng.below(round % 2 ? 20 : 1u << 20)),
                         static_cast<int32_t>(i), static_cast<int32_t>(1 + rng.below(1u << 30))};
      for (auto& c : candidates)  // equal logits have equal weights
        c.weight = static_cast<int32_t>(c.logit * 1000) + 1;
      auto sorted = candidates;
      std::sort(sorted.begin(), sorted.end(), before);
      uint64_t total = 0;
      for (const auto& c : sorted) total += static_cast<uint32_t>(c.weight);
      const uint64_t wanted = 1 + rng.below(total);
      size_t want = 0;
      for (uint64_t sum = 0; sum < wanted; ++want)
        sum += static_cast<uint32_t>(sorted[want].weight);
      auto taken = candidates;
      ASSERT_EQ(take_weight(taken, wanted), want);
      EXPECT_EQ(taken[want - 1].id, sorted[want - 1].id);
      const size_t count = 1 + rng.below(n);
      taken = candidates;
      ASSERT_EQ(take_count(taken, count), count);
      EXPECT_EQ(taken[count - 1].id, sorted[count - 1].id);
    }
    // Weights follow their formula.
    std::vector<float> logits = random_logits(rng, 200, 4), peaks(4);
    const Range range = passes.range(logits.data(), 200, peaks.data());
    const Row row{.logits = logits.data(),
                  .peaks = peaks.data(),
                  .vocab = 200,
                  .max = range.max,
                  .scale = 1.4426950408889634f / 0.7f,
                  .floor = -1000};
    int32_t weights[kGroupTokens];
    for (int32_t g = 0; g < 4; ++g) {
      passes.group(row, {.logit = -1e30f, .id = 200}, g, weights);
      for (int32_t i = 0; i < kGroupTokens && g * 64 + i < 200; ++i) {
        const double want = std::exp((static_cast<double>(logits[static_cast<size_t>(g * 64 + i)]) -
                                      static_cast<double>(range.max)) /
                                     static_cast<double>(0.7f)) *
                            kWeightOne;
        EXPECT_NEAR(weights[i], want, 0.6 + want * 3e-6);
      }
    }
  }
}

// Chi-squared over 200,000 draws from 50 tokens.
TEST(Sampler, DrawsFollowTheDistribution) {
  Rng rng(31);
  const auto logits = random_logits(rng, 50, 1);
  for (const Sampling& s :
       {Sampling{.temperature = 0.8f}, Sampling{.temperature = 1, .top_p = 0.8f},
        Sampling{.temperature = 1.5f, .top_k = 20, .min_p = 0.1f}}) {
    const auto kept = kept_by_sorting(logits, s);
    std::map<int32_t, double> expected;
    double total = 0;
    for (const int32_t id : kept)
      total += expected[id] = std::exp(static_cast<double>(logits[static_cast<size_t>(id)]) /
                                       static_cast<double>(s.temperature));
    constexpr int kDraws = 200000;
    std::map<int32_t, double> counts;
    Bench bench;
    std::vector<SampleRow> rows(1000);
    for (int part = 0; part < kDraws / 1000; ++part) {
      for (int i = 0; i < 1000; ++i)
        rows[static_cast<size_t>(i)] = {.logits = logits.data(),
                                        .sampling = &s,
                                        .seed = static_cast<uint64_t>(i),  // both must vary well
                                        .position = part};
      sample_rows(bench.context, rows, 50);
      for (const auto& row : rows) ++counts[row.token];
    }
    double chi_squared = 0;
    for (const auto& [id, weight] : expected) {
      const double want = kDraws * weight / total;
      chi_squared += (counts[id] - want) * (counts[id] - want) / want;
    }
    const double freedom = static_cast<double>(kept.size()) - 1;
    EXPECT_LT(chi_squared, freedom + 4 * std::sqrt(2 * freedom));
    EXPECT_GT(chi_squared, freedom - 4 * std::sqrt(2 * freedom));  // too good is wrong as well
  }
}

TEST(Sampler, LogprobsMatchDoubles) {
  for (const Isa isa : isas()) {
    Bench bench(isa);
    Rng rng(41);
    for (const int32_t vocab : {5, 64, 777, 20000}) {
      auto logits = random_logits(rng, vocab, 4);
      logits[1] = logits[3];  // a tie
      double sum = 0;
      for (const float l : logits) sum += std::exp(static_cast<double>(l));
      std::vector<int32_t> order(logits.size());
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
      });
      const auto want = [&](int32_t id) {
        return static_cast<double>(logits[static_cast<size_t>(id)]) - std::log(sum);
      };
      // Bias, temperature and top_k do not show in logprobs.
      const Sampling s{.temperature = 0.5f, .top_k = 3, .logit_bias = {{4, 100}}};
      std::vector<TokenLogprob> top(static_cast<size_t>(std::min(vocab, 20)));
      SampleRow row{.logits = logits.data(), .sampling = &s, .logprob_wanted = true, .top = top};
      row = bench.sample(row, vocab);
      EXPECT_EQ(row.token, 4);
      EXPECT_NEAR(row.logprob, want(4), 2e-5);
      for (size_t i = 0; i < top.size(); ++i) {
        EXPECT_EQ(top[i].id, order[i]);
        EXPECT_NEAR(top[i].logprob, want(order[i]), 2e-5);
      }
      row.given = 2;
      row.top = {};
      row = bench.sample(row, vocab);
      EXPECT_EQ(row.token, 2);
      EXPECT_NEAR(row.logprob, want(2), 2e-5);
    }
  }
}

TEST(Sampler, AppliesMaskBiasAndPenaltiesInThisOrder) {
  for (const Isa isa : isas()) {
    Bench bench(isa);
    const int32_t vocab = 200;
    std::vector<float> logits(200, 0.0f);
    logits[10] = 8, logits[70] = 6, logits[130] = 4, logits[199] = 2, logits[5] = -1;
    Sampling s{.temperature = 0};
    SampleRow row{.logits = logits.data(), .sampling = &s};
    EXPECT_EQ(bench.sample(row, vocab).token, 10);
    const std::vector<int32_t> banned{10}, also_banned{70};
    row.banned_first = banned;
    EXPECT_EQ(bench.sample(row, vocab).token, 70);
    row.banned_second = also_banned;
    EXPECT_EQ(bench.sample(row, vocab).token, 130);
    row.banned_first = row.banned_second = {};
    s.logit_bias = {{199, 7.0f}};
    EXPECT_EQ(bench.sample(row, vocab).token, 199);
    // A mask that allows 5 and 199 only; a bias does not bring back what it forbids.
    std::vector<uint64_t> mask(4, 0);
    mask[0] = 1u << 5;
    mask[3] = 1u << (199 - 192);
    row.allowed = mask.data();
    EXPECT_EQ(bench.sample(row, vocab).token, 199);
    mask[3] = 0;
    EXPECT_EQ(bench.sample(row, vocab).token, 5);
    const std::vector<int32_t> five{5};
    row.banned_first = five;
    EXPECT_EQ(bench.sample(row, vocab).status, SampleStatus::kNothingAllowed);
    row.banned_first = {};
    row.allowed = nullptr;
    s.logit_bias.clear();

    // 10: generated twice, 70: in the prompt only.
    TokenCounts counts;
    counts.add_prompt(also_banned);
    counts.add_generated(10), counts.add_generated(10);
    row.counts = &counts;
    s.frequency_penalty = 0.9f;  // 8 - 1.8 = 6.2
    EXPECT_EQ(bench.sample(row, vocab).token, 10);
    s.presence_penalty = 0.3f;  // 5.9
    EXPECT_EQ(bench.sample(row, vocab).token, 70);
    s.repetition_penalty = 2;  // 10: 8 / 2 - 2.1 = 1.9; 70: 3
    EXPECT_EQ(bench.sample(row, vocab).token, 130);
    s.logit_bias = {{70, 2.5f}};  // (6 + 2.5) / 2
    EXPECT_EQ(bench.sample(row, vocab).token, 70);
    // Negative logits are multiplied.
    std::vector<float> below(200, -10.0f);
    below[10] = -1, below[130] = -1.5f;
    s = {.temperature = 0, .repetition_penalty = 2};
    row.logits = below.data();
    EXPECT_EQ(bench.sample(row, vocab).token, 130);
  }
}

// Masked sampling draws from what is allowed as if nothing else were there.
TEST(Sampler, MaskedDrawsAreThoseOfTheAllowedTokens) {
  for (const Isa isa : isas()) {
    Bench bench(isa);
    Rng rng(53);
    const int32_t vocab = 1000;
    const auto logits = random_logits(rng, vocab, 2);
    std::vector<uint64_t> mask(16, 0);
    auto masked = logits;
    for (int32_t id = 0; id < vocab; ++id)
      if (rng.below(10) == 0 && id / 64 % 3 != 0)
        mask[static_cast<size_t>(id) / 64] |= uint64_t{1} << (id % 64);
      else
        masked[static_cast<size_t>(id)] = -std::numeric_limits<float>::infinity();
    for (const Sampling& s : {Sampling{}, Sampling{.top_p = 0.7f}, Sampling{.top_k = 7},
                              Sampling{.temperature = 1e9f, .top_p = 0.999f}}) {
      const auto want = kept_by_sorting(masked, s);
      for (int32_t position = 0; position < 300; ++position) {
        const auto row = bench.sample(
            {.logits = logits.data(), .sampling = &s, .position = position, .allowed = mask.data()},
            vocab);
        ASSERT_TRUE(want.contains(row.token)) << row.token;
      }
    }
  }
}

TEST(Sampler, RefusesWhatIsNotFinite) {
  for (const Isa isa : isas()) {
    Bench bench(isa);
    for (const int32_t vocab : {70, 640})
      for (const int32_t at : {0, 65, vocab - 1})
        for (const float bad : {std::nanf(""), -std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
          std::vector<float> logits(static_cast<size_t>(vocab), 1.0f);
          logits[static_cast<size_t>(at)] = bad;
          for (const float temperature : {0.0f, 1.0f}) {
            const Sampling s{.temperature = temperature};
            EXPECT_EQ(bench.sample({.logits = logits.data(), .sampling = &s}, vocab).status,
                      SampleStatus::kNotFinite);
          }
        }
  }
}

// Values at the ends of what is allowed, on logits at the ends of what there is.
TEST(Sampler, SurvivesExtremes) {
  for (const Isa isa : isas()) {
    Bench bench(isa);
    constexpr float kHuge = 3.4e38f, kTiny = 1e-40f;
    TokenCounts counts;
    for (int32_t id = 0; id < 50; ++id) counts.add_generated(id);
    for (const float scale : {0.0f, kTiny, 1.0f, kHuge}) {
      std::vector<float> logits(100);
      for (size_t i = 0; i < 100; ++i) logits[i] = i % 3 == 0 ? -scale : i % 3 == 1 ? scale : 0;
      for (const float temperature : {1e-30f, 2e-5f, 1.0f, 1e30f, kHuge})
        for (const float top_p : {1e-30f, 0.5f, 1.0f})
          for (const float min_p : {0.0f, 1e-30f, 1.0f})
            for (const float penalty : {kTiny, 1.0f, kHuge}) {
              const Sampling s{.temperature = temperature,
                               .top_p = top_p,
                               .min_p = min_p,
                               .frequency_penalty = -penalty,
                               .repetition_penalty = penalty};
              const auto row = bench.sample({.logits = logits.data(),
                                             .sampling = &s,
                                             .seed = ~uint64_t{0},
                                             .counts = penalty == 1 ? nullptr : &counts},
                                            100);
              ASSERT_EQ(row.status, SampleStatus::kToken);
              ASSERT_GE(row.token, 0);
              ASSERT_LT(row.token, 100);
            }
    }
  }
}

// 102,400 equal logits are one bin: slow sorting would show, a wrong tie rule as well.
TEST(Sampler, EqualLogitsAreCutById) {
  Bench bench;
  const std::vector<float> logits(102400, 1.0f);
  for (const Sampling& s : {Sampling{.top_k = 50}, Sampling{.top_p = 0x1p-11f}}) {
    const auto ids = drawn(bench, logits, s, 600);
    EXPECT_EQ(ids.size(), 50u);
    EXPECT_EQ(*ids.rbegin(), 49);
  }
}

// Rows answer the same alone, in company, and on any number of workers.
TEST(Sampler, RowsDoNotDependOnCompany) {
  Bench alone(detect_isa(), 1), team(detect_isa(), 2);
  Rng rng(61);
  const int32_t vocab = 3000;
  std::vector<std::vector<float>> logits;
  std::vector<Sampling> samplings;
  for (int i = 0; i < 9; ++i) {
    logits.push_back(random_logits(rng, vocab, 1 + i % 3));
    samplings.push_back({.temperature = static_cast<float>(0.2 * i),
                         .top_p = i % 2 ? 0.9f : 1.0f,
                         .top_k = i % 3 ? 0 : 40});
  }
  std::vector<SampleRow> rows;
  for (size_t i = 0; i < 9; ++i)
    rows.push_back({.logits = logits[i].data(),
                    .sampling = &samplings[i],
                    .seed = i,
                    .position = static_cast<int32_t>(i),
                    .logprob_wanted = true});
  auto together = rows;
  sample_rows(team.context, together, vocab);
  for (size_t i = 0; i < 9; ++i) {
    const auto row = alone.sample(rows[i], vocab);
    EXPECT_EQ(row.token, together[i].token);
    EXPECT_EQ(row.logprob, together[i].logprob);
  }
}

TEST(Sampler, NamesTheParameterAtFault) {
  const auto param = [](const Sampling& s) {
    const auto status = check_sampling(s, 10);
    return status.ok() ? std::string() : status.error().param;
  };
  EXPECT_EQ(param({}), "");
  EXPECT_EQ(param({.temperature = -1}), "temperature");
  EXPECT_EQ(param({.temperature = std::nanf("")}), "temperature");
  EXPECT_EQ(param({.top_p = 0}), "top_p");
  EXPECT_EQ(param({.top_p = 1.1f}), "top_p");
  EXPECT_EQ(param({.top_k = -1}), "top_k");
  EXPECT_EQ(param({.min_p = 2}), "min_p");
  EXPECT_EQ(param({.frequency_penalty = HUGE_VALF}), "frequency_penalty");
  EXPECT_EQ(param({.presence_penalty = HUGE_VALF}), "presence_penalty");
  EXPECT_EQ(param({.repetition_penalty = 0}), "repetition_penalty");
  EXPECT_EQ(param({.logit_bias = {{10, 1.0f}}}), "logit_bias");
  EXPECT_EQ(param({.logit_bias = {{9, HUGE_VALF}}}), "logit_bias");
}

}  // namespace
}  // namespace sis::engine
