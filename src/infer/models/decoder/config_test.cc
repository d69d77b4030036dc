// What config.json may say: both styles of it give one Config, and what we do not have is refused
// by its key.
#include "infer/models/decoder/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "infer/models/decoder/rope.h"

namespace sis::models::decoder {
namespace {

using nlohmann::json;

json minimal(const char* type) {
  return {{"model_type", type},
          {"vocab_size", 100},
          {"hidden_size", 64},
          {"num_hidden_layers", 4},
          {"num_attention_heads", 4},
          {"intermediate_size", 96},
          {"max_position_embeddings", 256}};
}

TEST(DecoderConfig, OlderAndNewerStyleSayTheSame) {
  json older = minimal("gemma3_text");
  older.update({{"rope_theta", 1e6},
                {"rope_local_base_freq", 1e4},
                {"rope_scaling", {{"rope_type", "linear"}, {"factor", 8.0}}},
                {"sliding_window", 12},
                {"sliding_window_pattern", 2}});
  json newer = minimal("gemma3_text");
  newer.update(
      {{"rope_parameters",
        {{"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 1e6}}},
         {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 1e4}}}}},
       {"sliding_window", 12},
       {"layer_types",
        {"sliding_attention", "full_attention", "sliding_attention", "full_attention"}}});
  const auto a = read_config(older), b = read_config(newer);
  ASSERT_TRUE(a.ok()) << a.error().message;
  ASSERT_TRUE(b.ok()) << b.error().message;
  EXPECT_EQ(a->windows, (std::vector<int32_t>{12, 0, 12, 0}));
  EXPECT_EQ(a->windows, b->windows);
  EXPECT_EQ(a->local, b->local);
  EXPECT_EQ(rope_frequencies(a->rope, 16).inverse, rope_frequencies(b->rope, 16).inverse);
  EXPECT_EQ(rope_frequencies(a->local_rope, 16).inverse,
            rope_frequencies(b->local_rope, 16).inverse);
  EXPECT_FLOAT_EQ(rope_frequencies(a->rope, 16).inverse[0], 1.0f / 8);
}

TEST(DecoderConfig, WindowsOfQwenCountFromTheirLayer) {
  json config = minimal("qwen2");
  config.update({{"sliding_window", 32}, {"max_window_layers", 3}});
  EXPECT_EQ(read_config(config)->windows, std::vector<int32_t>(4, 0)) << "not used unless it says";
  config["use_sliding_window"] = true;
  EXPECT_EQ(read_config(config)->windows, (std::vector<int32_t>{0, 0, 0, 32}));
}

TEST(DecoderConfig, FaultsNameTheirKey) {
  const struct {
    const char *type, *key;
    json value;
  } kCases[] = {
      {"llama", "vocab_size", "x"},
      {"llama", "num_key_value_heads", 3},
      {"llama", "head_dim", 300},
      {"llama", "hidden_act", "relu6"},
      {"llama", "rms_norm_eps", -1},
      {"llama", "rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2.0}}},
      {"llama", "rope_scaling", {{"rope_type", "llama3"}}},
      {"qwen3", "attention_bias", 1},
      {"gemma3_text", "final_logit_softcapping", 30.0},
      {"gemma3_text", "layer_types", {"sliding_attention"}},
      {"qwen3", "quantization_config", {{"quant_method", "gptq"}}},
      {"qwen3", "quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {64, 64}}}},
  };
  for (const auto& test : kCases) {
    json config = minimal(test.type);
    config[test.key] = test.value;
    const auto result = read_config(config);
    ASSERT_FALSE(result.ok()) << test.key << " " << test.value;
    EXPECT_EQ(result.error().code, Code::kInvalidArgument);
    EXPECT_NE(result.error().message.find(test.key), std::string::npos) << result.error().message;
  }
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size"}) {
    json config = minimal("qwen3");
    config.erase(key);
    EXPECT_NE(read_config(config).error().message.find(key), std::string::npos);
  }
}

}  // namespace
}  // namespace sis::models::decoder
