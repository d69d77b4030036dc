// A classifier of demo/models, loaded for a golden test: its logits for texts and pairs, and the
// comparison with the logits that tools/demo/record_logits.py wrote down.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/strings.h"
#include "infer/models/registry.h"
#include "infer/nn/embedding_head.h"
#include "infer/text/tokenizer/tokenizer.h"
#include "infer/weights/json_file.h"

namespace sis {

struct ClassifierText {
  std::string text;
  std::optional<std::string> pair;
};

class DemoClassifier {
 public:
  static Result<DemoClassifier> load(const std::string& folder, DType compute) {
    DemoClassifier model;
    model.team_ = std::make_unique<ThreadTeam>(ThreadTeam::Options{.workers = 2, .pin = false});
    SIS_ASSIGN(model.tokenizer_, text::Tokenizer::from_folder(folder));
    SIS_ASSIGN(const nn::HeadConfig config, nn::read_classification_head(folder));
    model.labels_ = config.labels;
    SIS_ASSIGN(
        model.encoder_,
        models::load_encoder(folder, {.compute = compute, .isa = detect_isa()}, *model.team_));
    SIS_ASSIGN(auto head, nn::EmbeddingHead::load(config, model.encoder_->info().hidden,
                                                  detect_isa(), *model.team_));
    model.head_.emplace(std::move(head));
    return model;
  }

  const std::vector<std::string>& labels() const { return labels_; }

  text::Encoding encode(const ClassifierText& input) const {
    return input.pair ? tokenizer_->encode_pair(input.text, *input.pair, {})
                      : tokenizer_->encode(input.text, {});
  }

  // One row of logits for each text, all in one batch.
  std::vector<std::vector<float>> logits(const std::vector<ClassifierText>& inputs) {
    std::vector<int32_t> ids, types, offsets{0};
    for (const auto& input : inputs) {
      const auto encoding = encode(input);
      ids.insert(ids.end(), encoding.ids.begin(), encoding.ids.end());
      types.insert(types.end(), encoding.type_ids.begin(), encoding.type_ids.end());
      offsets.push_back(static_cast<int32_t>(ids.size()));
    }
    Workspace workspace;
    ops::Context context{*team_, workspace, detect_isa()};
    const nn::RaggedBatch batch{.ids = ids, .offsets = offsets, .types = types};
    Mat<float> states = workspace.take_mat<float>(batch.tokens(), encoder_->info().hidden);
    Mat<float> out = workspace.take_mat<float>(batch.sequences(), head_->dimensions());
    encoder_->forward(context, batch, states);
    head_->forward(context, states, offsets, out);
    std::vector<std::vector<float>> rows;
    for (int64_t r = 0; r < out.rows; ++r) {
      rows.emplace_back();
      for (int64_t c = 0; c < out.cols; ++c) rows.back().push_back(out.at(r, c));
    }
    return rows;
  }

 private:
  std::unique_ptr<ThreadTeam> team_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::unique_ptr<nn::Encoder> encoder_;
  std::optional<nn::EmbeddingHead> head_;
  std::vector<std::string> labels_;
};

// Tokens as transformers has them, logits within `error_max`.
inline void expect_recorded_logits(DemoClassifier& model, const std::string& recorded,
                                   double error_max) {
  const auto expected = weights::read_json_file(recorded);
  ASSERT_TRUE(expected.ok()) << expected.error().message;
  EXPECT_EQ(model.labels(), (*expected)["labels"].get<std::vector<std::string>>());
  std::vector<ClassifierText> inputs;
  for (const auto& test : (*expected)["cases"]) {
    inputs.push_back({test["text"], {}});
    if (test.contains("pair")) inputs.back().pair = test["pair"];
    const auto encoding = model.encode(inputs.back());
    EXPECT_EQ(encoding.ids, test["ids"].get<std::vector<int32_t>>()) << inputs.back().text;
    EXPECT_EQ(encoding.type_ids, test["types"].get<std::vector<int32_t>>()) << inputs.back().text;
  }
  ASSERT_GE(inputs.size(), 6u);
  const auto rows = model.logits(inputs);
  for (size_t r = 0; r < rows.size(); ++r)
    for (size_t c = 0; c < rows[r].size(); ++c)
      EXPECT_NEAR(rows[r][c], (*expected)["cases"][r]["logits"][c].get<float>(), error_max)
          << inputs[r].text;
}

}  // namespace sis
