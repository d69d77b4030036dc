// The tiny decoders in tests/golden/rerankers, served as classifiers and rerankers are, give the
// logits transformers gave (made by tools/golden/make_rerankers.py), with every dtype.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>

#include "infer/weights/json_file.h"
#include "serve/server/embed_loader.h"
#include "serve/server/score_head.h"
#include "serve/tasks/classify.h"
#include "serve/tasks/rerank.h"

namespace sis {
namespace {

struct Level {
  const char* dtype;
  double error_max;
};
constexpr Level kLevels[] = {{"f32", 1e-3}, {"bf16", 0.1}, {"int8", 0.3}};

struct Silent final : tasks::EmbedObserver {
  void on_lookup(int, int) override {}
  void on_batch(int, int, std::span<const Duration>, Duration) override {}
};

// One request of the whole way: prompt, tokenizer, cut, ragged batch, head.
Result<tasks::EmbedAnswer> answer(const std::string& name, server::EmbedHead head,
                                  const char* dtype, tasks::EmbedRequest request,
                                  const std::function<void(const tasks::EmbedModel&)>& look) {
  SteadyClock clock;
  engine::DeviceExecutor executor({.threads = 2, .isa = detect_isa()}, clock);
  TaskPool prep("prep", 1, 16);
  Silent observer;
  SIS_ASSIGN(
      auto model,
      server::load_embed_model(
          {.name = name, .folder = "tests/golden/rerankers/" + name, .head = head, .dtype = dtype},
          executor));
  look(model);
  tasks::EmbedService service(std::move(model), {}, executor, prep, clock, observer);
  std::promise<Result<tasks::EmbedAnswer>> done;
  auto future = done.get_future();
  const auto ticket = service.submit(std::move(request), [&](Result<tasks::EmbedAnswer> result) {
    done.set_value(std::move(result));
  });
  return future.get();
}

TEST(Rerankers, YesOrNoIsAskedAsTheModelCardAsks) {
  const auto expected =
      weights::read_json_file("tests/golden/rerankers/qwen3-yes-no/expected.json");
  ASSERT_TRUE(expected.ok()) << expected.error().message;
  const auto& cases = (*expected)["cases"];
  for (const auto& level : kLevels) {
    tasks::EmbedRequest request;
    for (const auto& test : cases)
      request.inputs.push_back({.text = test["query"], .pair = test["document"]});
    const auto result = answer("qwen3-yes-no", server::EmbedHead::kRerank, level.dtype,
                               std::move(request), [](const tasks::EmbedModel& model) {
                                 EXPECT_TRUE(model.pair_prompt);
                                 EXPECT_EQ(model.dimensions(), 2);
                                 EXPECT_EQ(model.tokens_max, 400);
                               });
    ASSERT_TRUE(result.ok()) << result.error().message;
    for (size_t i = 0; i < cases.size(); ++i) {
      const auto& item = *result->items[i];
      EXPECT_EQ(static_cast<size_t>(item.tokens), cases[i]["ids"].size()) << "case " << i;
      for (size_t c = 0; c < 2; ++c)
        EXPECT_NEAR(item.vector[c], cases[i]["logits"][c].get<float>(), level.error_max)
            << level.dtype << " case " << i;
      const float score = tasks::sigmoid(item.vector[1] - item.vector[0]);
      EXPECT_NEAR(score, cases[i]["score"].get<float>(), level.error_max / 2)
          << level.dtype << " case " << i;
    }
  }
}

TEST(Rerankers, ADecoderClassifiesByItsLastToken) {
  const auto expected =
      weights::read_json_file("tests/golden/rerankers/qwen3-labels/expected.json");
  ASSERT_TRUE(expected.ok()) << expected.error().message;
  const auto& cases = (*expected)["cases"];
  for (const auto& level : kLevels) {
    tasks::EmbedRequest request;
    for (const auto& test : cases) request.inputs.push_back({.text = test["text"]});
    const auto result = answer("qwen3-labels", server::EmbedHead::kClassification, level.dtype,
                               std::move(request), [&](const tasks::EmbedModel& model) {
                                 EXPECT_EQ(model.head.config().labels,
                                           (*expected)["labels"].get<std::vector<std::string>>());
                               });
    ASSERT_TRUE(result.ok()) << result.error().message;
    for (size_t i = 0; i < cases.size(); ++i)
      for (size_t c = 0; c < 3; ++c)
        EXPECT_NEAR(result->items[i]->vector[c], cases[i]["logits"][c].get<float>(),
                    level.error_max)
            << level.dtype << " case " << i;
  }
}

TEST(Rerankers, OtherDecodersAreRefusedByName) {
  const auto tokenizer = text::Tokenizer::from_folder("tests/golden/rerankers/qwen3-yes-no");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const auto folder =
      std::filesystem::temp_directory_path() / ("sis_rerankers_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json")
      << R"({"architectures":["LlamaForCausalLM"],"model_type":"llama"})";
  const auto head = server::read_score_head(folder.string(), true, **tokenizer);
  std::filesystem::remove_all(folder);
  ASSERT_FALSE(head.ok());
  EXPECT_NE(head.error().message.find("Qwen3-Reranker"), std::string::npos) << head.error().message;
}

}  // namespace
}  // namespace sis
