// How well the model in the box understands everyday English: of 100 queries written by hand
// (tests/golden/embed_queries.json, never used for its training) it ranks the right one of 20
// candidates first for at least kRightMin (guessing gets 5).
#include <gtest/gtest.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "infer/weights/json_file.h"
#include "serve/server/embed_loader.h"

namespace sis {
namespace {

constexpr int kRightMin = 90;

class DemoEmbed : public testing::TestWithParam<const char*> {};

TEST_P(DemoEmbed, RanksTheRightCandidateFirst) {
  SteadyClock clock;
  engine::DeviceExecutor executor({.threads = 2, .isa = detect_isa()}, clock);
  auto model = server::load_embed_model(
      {.name = "demo/embed", .folder = "demo/models/embed", .dtype = GetParam()}, executor);
  ASSERT_TRUE(model.ok()) << model.error().message;
  const auto queries = weights::read_json_file("tests/golden/embed_queries.json");
  ASSERT_TRUE(queries.ok()) << queries.error().message;
  ASSERT_EQ(queries->size(), 100u);
  int right = 0;
  for (const auto& query : *queries) {
    std::vector<std::string> texts = {query["query"]};
    for (const auto& candidate : query["candidates"]) texts.push_back(candidate);
    ASSERT_EQ(texts.size(), 21u);
    std::vector<int32_t> ids, offsets{0};
    for (const auto& text : texts) {
      const auto encoded = model->tokenizer->encode(text, {.tokens_max = model->tokens_max}).ids;
      ids.insert(ids.end(), encoded.begin(), encoded.end());
      offsets.push_back(static_cast<int32_t>(ids.size()));
    }
    int best = 0;
    executor.call([&](ops::Context& context) {
      const auto vectors = tasks::embed_batch(*model, context, {.ids = ids, .offsets = offsets});
      double best_score = -2;
      for (int candidate = 0; candidate < 20; ++candidate) {
        double score = 0;
        for (int64_t c = 0; c < vectors.cols; ++c)
          score += double(vectors.at(0, c)) * vectors.at(candidate + 1, c);
        if (score > best_score) best_score = score, best = candidate;
      }
    });
    right += best == query["answer"].get<int>();
  }
  std::printf("  %s: %d of 100 queries\n", GetParam(), right);
  EXPECT_GE(right, kRightMin);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, DemoEmbed, testing::Values("f32", "bf16", "int8"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace sis
