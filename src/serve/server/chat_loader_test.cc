// What a checkpoint's files say about generating, and the plan of the cache's memory.
#include "serve/server/chat_loader.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "infer/engine/scheduler.h"

namespace sis::server {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("chat_loader_test." + std::to_string(getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  void write(const char* name, const char* text) const { std::ofstream(path_ / name) << text; }
  std::string path() const { return path_; }

 private:
  fs::path path_;
};

std::unique_ptr<text::Tokenizer> tokenizer() {
  auto result = text::Tokenizer::from_folder("tests/golden/tokenizer/qwen2");
  SIS_CHECK(result.ok(), result.error().message);
  return std::move(*result);
}

TEST(GenerationConfig, IdsComeFromEveryFileThatNamesThem) {
  const auto words = tokenizer();
  const auto end = words->token_to_id("<|im_end|>");
  ASSERT_TRUE(end);
  Folder folder;
  folder.write("config.json", R"({"eos_token_id": 9})");
  folder.write("tokenizer_config.json", R"({"eos_token": {"content": "<|im_end|>"}})");
  auto config = read_generation_config(folder.path(), *words);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->eos_ids, (std::vector<int32_t>{9, *end}));
  EXPECT_FALSE(config->temperature);

  // generation_config.json is the word of those who published it: config.json then counts no more.
  folder.write("generation_config.json",
               R"({"eos_token_id": [5, 7], "temperature": 0.6, "top_p": 0.95, "top_k": 20})");
  config = read_generation_config(folder.path(), *words);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->eos_ids, (std::vector<int32_t>{5, 7, *end}));
  EXPECT_FLOAT_EQ(*config->temperature, 0.6f);
  EXPECT_EQ(*config->top_k, 20);

  folder.write("generation_config.json", R"({"temperature": 0.6, "do_sample": false})");
  EXPECT_FALSE(read_generation_config(folder.path(), *words)->temperature);
}

TEST(GenerationConfig, WrongValuesAreNamed) {
  const auto words = tokenizer();
  const struct {
    const char *text, *key;
  } kCases[] = {{R"({"eos_token_id": "x"})", "eos_token_id"},
                {R"({"eos_token_id": [1, -1]})", "eos_token_id"},
                {R"({"top_p": 2})", "top_p"},
                {R"({"repetition_penalty": 0})", "repetition_penalty"},
                {"[]", "object"}};
  for (const auto& test : kCases) {
    Folder folder;
    folder.write("generation_config.json", test.text);
    const auto config = read_generation_config(folder.path(), *words);
    ASSERT_FALSE(config.ok()) << test.text;
    EXPECT_NE(config.error().message.find(test.key), std::string::npos) << config.error().message;
    EXPECT_NE(config.error().message.find("generation_config.json"), std::string::npos);
  }
}

// A decoder as far as the plan is concerned.
class Shape final : public nn::Decoder {
 public:
  Shape() { info_.tokens_max = 4096; }
  const nn::DecoderInfo& info() const override { return info_; }
  kernels::KvLayout kv_layout() const override {
    return {.layers = 4, .kv_heads = 2, .head_dim = 64, .dtype = DType::kBf16};
  }
  void forward(ops::Context&, const nn::DecoderBatch&, ops::KvView, Mat<float>) const override {}

 private:
  nn::DecoderInfo info_;
};

TEST(KvPlan, HoldsEverySequenceUnlessMemoryIsShort) {
  const Shape decoder;
  const int64_t token = decoder.kv_layout().block_bytes() / kernels::kKvBlockTokens;
  auto plan = plan_kv_cache(
      decoder, {.context_default = 1024, .sequences = 8, .memory_free_bytes = int64_t{1} << 40});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->context, 1024);
  const int64_t blocks = plan->tokens / kernels::kKvBlockTokens;
  EXPECT_EQ(plan->bytes, plan->tokens * token);
  EXPECT_GE(blocks - engine::admission_reserve(static_cast<int32_t>(blocks)), 8 * 32);
  EXPECT_LE(blocks, 8 * 32 + 6);

  plan = plan_kv_cache(decoder, {.sequences = 8, .memory_free_bytes = 4 * 6000 * token});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->context, 4096) << "no more than the model's";
  EXPECT_EQ(plan->tokens, 6000 / 32 * 32);

  // Never less than one sequence, and a bound somebody set is kept or refused.
  plan = plan_kv_cache(decoder, {.context = 2048, .memory_free_bytes = 0});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->tokens, 2048);
  plan = plan_kv_cache(decoder, {.context = 2048, .memory_mb = 1});
  ASSERT_FALSE(plan.ok());
  EXPECT_NE(plan.error().message.find("4 MiB"), std::string::npos) << plan.error().message;
  plan = plan_kv_cache(decoder, {.context = 2048, .memory_mb = 9, .memory_free_bytes = 8 << 20});
  ASSERT_FALSE(plan.ok());
  EXPECT_NE(plan.error().message.find("want at most the 8 MiB that are free, got 9"),
            std::string::npos)
      << plan.error().message;
}

TEST(KvPlan, TheSystemHasMemory) { EXPECT_GT(memory_available_bytes(), 1 << 20); }

}  // namespace
}  // namespace sis::server
