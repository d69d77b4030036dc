#include "infer/nn/embedding_head.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "infer/weights/json_file.h"
#include "infer/weights/source.h"

namespace sis::nn {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// "sentence_transformers.models.Pooling" -> "Pooling"
std::string_view class_name(std::string_view dotted) {
  const size_t dot = dotted.rfind('.');
  return dot == std::string_view::npos ? dotted : dotted.substr(dot + 1);
}

std::string text_or(const json& object, const char* key, const char* fallback) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : fallback;
}

// A module's folder inside the checkpoint; nothing may lead out of it.
Result<std::string> module_folder(const std::string& folder, const std::string& path) {
  for (const auto& part : fs::path(path))
    if (part == "..")
      return Error{Code::kInvalidArgument,
                   concat(folder, "/modules.json: path ", in_quotes(path), " leaves the folder")};
  if (fs::path(path).is_absolute())
    return Error{Code::kInvalidArgument,
                 concat(folder, "/modules.json: path ", in_quotes(path), " is absolute")};
  return path.empty() ? folder : folder + "/" + path;
}

Result<ops::Pooling> read_pooling(const std::string& file) {
  SIS_ASSIGN(const json config, weights::read_json_file(file));
  static constexpr std::pair<const char*, ops::Pooling> kFlags[] = {
      {"pooling_mode_cls_token", ops::Pooling::kCls},
      {"pooling_mode_mean_tokens", ops::Pooling::kMean},
      {"pooling_mode_max_tokens", ops::Pooling::kMax},
      {"pooling_mode_mean_sqrt_len_tokens", ops::Pooling::kMeanSqrtLen},
      {"pooling_mode_lasttoken", ops::Pooling::kLast},
  };
  static constexpr std::pair<const char*, ops::Pooling> kNames[] = {
      {"cls", ops::Pooling::kCls},        {"mean", ops::Pooling::kMean},
      {"max", ops::Pooling::kMax},        {"mean_sqrt_len_tokens", ops::Pooling::kMeanSqrtLen},
      {"lasttoken", ops::Pooling::kLast},
  };
  if (const auto mode = config.find("pooling_mode"); mode != config.end() && mode->is_string()) {
    for (const auto& [name, pooling] : kNames)
      if (*mode == name) return pooling;
    return Error{Code::kInvalidArgument,
                 concat(file, ": pooling_mode ", in_quotes(mode->get<std::string>()),
                        " is not supported (cls, mean, max, mean_sqrt_len_tokens, lasttoken)")};
  }
  std::optional<ops::Pooling> chosen;
  for (const auto& [key, value] : config.items()) {
    if (!key.starts_with("pooling_mode_") || !value.is_boolean() || !value.get<bool>()) continue;
    bool known = false;
    for (const auto& [flag, pooling] : kFlags) {
      if (key != flag) continue;
      if (chosen)
        return Error{
            Code::kInvalidArgument,
            concat(file, ": more than one pooling mode is on; joined poolings are not supported")};
      chosen = pooling;
      known = true;
    }
    if (!known) return Error{Code::kInvalidArgument, concat(file, ": ", key, " is not supported")};
  }
  if (!chosen) return Error{Code::kInvalidArgument, concat(file, ": no pooling mode is on")};
  return *chosen;
}

Result<HeadConfig::Dense> read_dense(const std::string& folder) {
  SIS_ASSIGN(const json config, weights::read_json_file(folder + "/config.json"));
  const std::string activation =
      to_lower(class_name(text_or(config, "activation_function", "Tanh")));
  if (activation != "tanh" && activation != "identity")
    return Error{Code::kInvalidArgument,
                 concat(folder, "/config.json: activation_function ", in_quotes(activation),
                        " is not supported (Tanh, Identity)")};
  return HeadConfig::Dense{folder, "linear", activation};
}

// Rows of a weight as views of one row each.
Result<std::vector<WeightView>> rows_of(const WeightView& weight, const HeadConfig::Dense& dense) {
  std::vector<WeightView> rows;
  for (const int32_t row : dense.rows) {
    if (row < 0 || row >= weight.rows)
      return Error{Code::kInvalidArgument, concat(dense.folder, ": ", dense.name, ".weight has ",
                                                  weight.rows, " rows, there is no row ", row)};
    WeightView one = weight;
    one.data = static_cast<const std::byte*>(weight.data) +
               row * weight.cols * static_cast<int64_t>(dtype_bytes(weight.dtype));
    one.rows = 1;
    rows.push_back(one);
  }
  return rows;
}

}  // namespace

Result<HeadConfig> read_head_config(const std::string& folder) {
  HeadConfig head;
  const std::string bert_config = folder + "/sentence_bert_config.json";
  if (fs::exists(bert_config)) {
    SIS_ASSIGN(const json config, weights::read_json_file(bert_config));
    const auto it = config.find("max_seq_length");
    if (it != config.end() && it->is_number_integer() && *it > 0 && *it < (1 << 24))
      head.tokens_max = it->get<int32_t>();
  }
  const std::string modules_file = folder + "/modules.json";
  if (!fs::exists(modules_file)) return head;

  SIS_ASSIGN(const json modules, weights::read_json_file(modules_file));
  if (!modules.is_array())
    return Error{Code::kInvalidArgument, concat(modules_file, ": want a list of modules")};
  head.from_modules = true;
  head.normalise = false;
  bool pooled = false;
  for (const auto& module : modules) {
    if (!module.is_object())
      return Error{Code::kInvalidArgument, concat(modules_file, ": want a list of objects")};
    const std::string type = text_or(module, "type", "");
    const std::string_view kind = class_name(type);
    SIS_ASSIGN(const std::string path, module_folder(folder, text_or(module, "path", "")));
    if (kind == "Transformer") continue;
    if (head.normalise)
      return Error{Code::kInvalidArgument,
                   concat(modules_file, ": ", kind, " after Normalize is not supported")};
    if (kind == "Pooling") {
      SIS_ASSIGN(head.pooling, read_pooling(path + "/config.json"));
      pooled = true;
    } else if (kind == "Dense") {
      SIS_ASSIGN(auto dense, read_dense(path));
      head.dense.push_back(std::move(dense));
    } else if (kind == "Normalize") {
      head.normalise = true;
    } else {
      return Error{Code::kInvalidArgument,
                   concat(modules_file, ": module type ", in_quotes(type),
                          " is not supported (Transformer, Pooling, Dense, Normalize)")};
    }
  }
  if (!pooled) return Error{Code::kInvalidArgument, concat(modules_file, ": no Pooling module")};
  return head;
}

Result<HeadConfig> read_classification_head(const std::string& folder) {
  const std::string file = folder + "/config.json";
  SIS_ASSIGN(const json config, weights::read_json_file(file));
  SIS_ASSIGN(const auto source, weights::WeightSource::open(folder));
  HeadConfig head;
  head.pooling = ops::Pooling::kCls;
  head.normalise = false;
  if (source->has("classifier.out_proj.weight")) {  // RoBERTa and its kind
    head.dense = {{folder, "classifier.dense", "tanh"},
                  {folder, "classifier.out_proj", "identity"}};
  } else if (source->has("classifier.weight") && source->has("bert.pooler.dense.weight")) {
    head.dense = {{folder, "bert.pooler.dense", "tanh"}, {folder, "classifier", "identity"}};
  } else if (source->has("score.weight")) {  // decoders: what the last token says
    head.pooling = ops::Pooling::kLast;
    head.dense = {{folder, "score", "identity"}};
  } else {
    return Error{Code::kInvalidArgument,
                 concat(folder,
                        ": no classification head (want classifier.weight with "
                        "bert.pooler.dense.weight, classifier.out_proj.weight, or score.weight)")};
  }
  const auto* classifier = source->info(head.dense.back().name + ".weight");
  const int64_t count = classifier->shape.empty() ? 0 : classifier->shape[0];
  const auto names = config.find("id2label");
  for (int64_t i = 0; i < count; ++i) {
    std::string label = concat("LABEL_", i);
    if (names != config.end() && names->is_object()) {
      const auto it = names->find(std::to_string(i));
      if (it == names->end() || !it->is_string())
        return Error{Code::kInvalidArgument, concat(file, ": id2label: want a name for each of ",
                                                    count, " labels, there is none for ", i)};
      label = it->get<std::string>();
    }
    head.labels.push_back(std::move(label));
  }
  const std::string problem = text_or(config, "problem_type", "");
  if (problem == "multi_label_classification") {
    head.multi_label = true;
  } else if (problem == "regression") {
    if (count != 1)
      return Error{Code::kInvalidArgument,
                   concat(file, ": problem_type regression with ", count, " outputs: want 1")};
    head.regression = true;
  } else if (!problem.empty() && problem != "single_label_classification") {
    return Error{Code::kInvalidArgument,
                 concat(file, ": problem_type ", in_quotes(problem), " is not supported")};
  }
  return head;
}

Result<EmbeddingHead> EmbeddingHead::load(const HeadConfig& config, int32_t hidden, Isa isa,
                                          ThreadTeam& team) {
  EmbeddingHead head;
  head.config_ = config;
  head.dimensions_ = hidden;
  for (const auto& dense : config.dense) {
    SIS_ASSIGN(const auto source, weights::WeightSource::open(dense.folder));
    SIS_ASSIGN(const WeightView weight,
               source->matrix(dense.name + ".weight", -1, head.dimensions_));
    std::vector<WeightView> views{weight}, biases;
    if (!dense.rows.empty()) {
      SIS_ASSIGN(views, rows_of(weight, dense));
      if (source->has(dense.name + ".bias"))
        return Error{Code::kInvalidArgument, concat(dense.folder, ": ", dense.name,
                                                    ".bias: rows of a layer with a bias are"
                                                    " not supported")};
    } else if (source->has(dense.name + ".bias")) {
      SIS_ASSIGN(const WeightView bias, source->matrix(dense.name + ".bias", 1, weight.rows));
      biases.push_back(bias);
    }
    // One row per text: always f32, the cost does not show.
    SIS_ASSIGN(auto linear, ops::Linear::pack(views, biases, DType::kF32, isa, team));
    head.dimensions_ = static_cast<int32_t>(linear.out());
    head.dense_.push_back(std::move(linear));
  }
  return head;
}

void EmbeddingHead::forward(ops::Context& context, Mat<const float> states,
                            std::span<const int32_t> offsets, Mat<float> out) const {
  Workspace::Scope scope(context.workspace);
  if (dense_.empty()) {
    ops::pool(context, states, offsets, config_.pooling, out);
  } else {
    const auto sequences = static_cast<int64_t>(offsets.size()) - 1;
    Mat<float> x = context.workspace.take_mat<float>(sequences, states.cols);
    ops::pool(context, states, offsets, config_.pooling, x);
    for (size_t i = 0; i < dense_.size(); ++i) {
      const bool last = i + 1 == dense_.size();
      Mat<float> y = last ? out : context.workspace.take_mat<float>(sequences, dense_[i].out());
      dense_[i].forward(context, x, {}, y);
      if (config_.dense[i].activation == "tanh")
        for (int64_t r = 0; r < y.rows; ++r)
          for (int64_t c = 0; c < y.cols; ++c) y.at(r, c) = std::tanh(y.at(r, c));
      x = y;
    }
  }
  if (config_.normalise) ops::l2_normalise(context, out);
}

}  // namespace sis::nn
