#include "serve/api/predict/classify_json.h"

#include <algorithm>

#include "base/strings.h"
#include "base/utc.h"
#include "serve/api/json_body.h"
#include "serve/api/json_text.h"
#include "serve/api/predict/error_shape.h"
#include "serve/tasks/classify.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

// [{"score","label"}], highest first.
void append_ranked_labels(std::string& out, const ScoreModel& model,
                          std::span<const float> scores) {
  out += '[';
  bool first = true;
  for (const size_t column : tasks::columns_by_value(scores)) {
    out += first ? R"({"score":)" : R"(,{"score":)";
    first = false;
    append_float(out, scores[column]);
    out += R"(,"label":)";
    telemetry::append_json_string(out, model.labels[column]);
    out += '}';
  }
  out += ']';
}

void append_all_ranked(std::string& out, const ScoreModel& model, tasks::ScoreRule rule,
                       const tasks::EmbedAnswer& answer) {
  out += '[';
  for (size_t i = 0; i < answer.items.size(); ++i) {
    if (i > 0) out += ',';
    append_ranked_labels(out, model, tasks::scores_of(answer.items[i]->vector, rule));
  }
  out += ']';
}

// {"index","label","probs","num_classes"}
void append_probabilities(std::string& out, const ScoreModel& model, tasks::ScoreRule rule,
                          const tasks::EmbedAnswer& answer) {
  out += '[';
  for (size_t i = 0; i < answer.items.size(); ++i) {
    const auto scores = tasks::scores_of(answer.items[i]->vector, rule);
    out += i > 0 ? R"(,{"index":)" : R"({"index":)";
    append_int(out, static_cast<int64_t>(i));
    out += R"(,"label":)";
    telemetry::append_json_string(out, model.labels[tasks::best_column(scores)]);
    out += R"(,"probs":[)";
    for (size_t c = 0; c < scores.size(); ++c) {
      if (c > 0) out += ',';
      append_float(out, scores[c]);
    }
    out += R"(],"num_classes":)";
    append_int(out, static_cast<int64_t>(scores.size()));
    out += '}';
  }
  out += ']';
}

void append_prediction(std::string& out, const ScoreModel& model, std::string_view text,
                       std::span<const float> logits) {
  const auto scores = tasks::scores_of(logits, model.rule);
  const size_t best = tasks::best_column(scores);
  out += R"({"text":)";
  telemetry::append_json_string(out, text);
  out += R"(,"sentiment":)";
  telemetry::append_json_string(out, model.labels[best]);
  out += R"(,"confidence":)";
  append_float(out, scores[best]);
  out += R"(,"model_version":)";
  telemetry::append_json_string(out, model.version);
  out += '}';
}

Result<std::string> read_prediction_text(const JsonElement& value, const std::string& param,
                                         const ScoreOptions& options) {
  SIS_ASSIGN(auto text, read_text(value, param, options));
  if (trim(text).empty()) return invalid(concat(param, " is blank"), param);
  if (static_cast<int64_t>(text.size()) > kPredictCharsMax)
    if (const int64_t chars = count_code_points(text); chars > kPredictCharsMax)
      return invalid(
          concat(param, " has ", chars, " characters, at most ", kPredictCharsMax, " are allowed"),
          param);
  return text;
}

// One text, or two for a pair.
Status read_item(const JsonElement& item, const std::string& param, const ScoreOptions& options,
                 tasks::EmbedRequest& request) {
  simdjson::dom::array array;
  tasks::EmbedInput input;
  if (item.get_array().get(array)) {
    SIS_ASSIGN(input.text, read_text(item, param, options));
  } else {
    if (array.size() != 1 && array.size() != 2)
      return invalid(concat(param, ": want one text or a pair of texts, got ", array.size()),
                     param);
    SIS_ASSIGN(input.text, read_text(array.at(0), param + "[0]", options));
    if (array.size() == 2) {
      SIS_ASSIGN(input.pair, read_text(array.at(1), param + "[1]", options));
    }
  }
  if (input.text.empty() && !input.pair) {
    Error error = invalid(concat(param, " is an empty string"), param);
    error.reason = kEmptyReason;
    return error;
  }
  request.inputs.push_back(std::move(input));
  return {};
}

// True for a batch: an array whose items are arrays. An array of strings is one item.
Result<bool> read_inputs(const JsonElement& inputs, const ScoreOptions& options,
                         tasks::EmbedRequest& request) {
  simdjson::dom::array array;
  const bool batch =
      !inputs.get_array().get(array) && array.size() > 0 && (*array.begin()).is_array();
  if (!batch) {
    if (inputs.is_array() && array.size() == 0) {
      Error error = invalid("inputs is an empty array", "inputs");
      error.reason = kEmptyReason;
      return error;
    }
    SIS_TRY(read_item(inputs, "inputs", options, request));
    return false;
  }
  size_t count = 0;
  for ([[maybe_unused]] const JsonElement item : array) ++count;
  SIS_TRY(
      check_count(count, options.predict_texts_max, "inputs", "items", "PREDICT_MAX_BATCH_SIZE"));
  for (const JsonElement item : array)
    SIS_TRY(read_item(item, concat("inputs[", request.inputs.size(), "]"), options, request));
  return true;
}

}  // namespace

Result<ScoreCall> parse_classify(const JsonObject& body, const ScorePlace& place) {
  const auto input = field_of(body, "input");
  if (!input) return invalid("input is missing", "input");
  SIS_ASSIGN(auto texts,
             read_texts(*input, "input", place.options.texts_max, "MAX_BATCH_SIZE", place.options));
  std::optional<bool> raw, activation;
  SIS_TRY(read_flag(body, "raw_scores", raw));
  for (const char* key : {"activation", "use_activation"})
    SIS_TRY(read_flag(body, key, activation));

  ScoreCall out;
  out.inputs_name = "input";
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty())
      return invalid(concat("input[", i, "] is an empty string"), concat("input[", i, "]"));
    out.request.inputs.push_back({.text = std::move(texts[i])});
  }
  SIS_TRY(read_truncation(body, out.request));
  SIS_TRY(check_fields(body,
                       {"model", "input", "raw_scores", "activation", "use_activation", "truncate",
                        "truncate_prompt_tokens", "truncation_direction", "priority", "user"},
                       place.options.strict_fields));
  const bool infinity = raw.has_value();
  const bool logits = raw.value_or(false) || !activation.value_or(true);
  out.write = [place, infinity, logits](const tasks::EmbedAnswer& answer) {
    const auto rule = logits ? tasks::ScoreRule::kRaw : place.model.rule;
    std::string text = infinity ? R"({"object":"classify",)" : R"({"object":"list",)";
    append_identity(text, "classify", place);
    text += R"(,"data":)";
    if (infinity)
      append_all_ranked(text, place.model, rule, answer);
    else
      append_probabilities(text, place.model, rule, answer);
    append_usage(text, place.options.count_tokens ? answer.tokens : 0);
    text += '}';
    return text;
  };
  return out;
}

Result<ScoreCall> parse_predict(const JsonObject& body, const ScorePlace& place) {
  const auto field = field_of(body, "text");
  if (!field) return invalid("text is missing", "text");
  SIS_ASSIGN(auto text, read_prediction_text(*field, "text", place.options));
  SIS_TRY(check_fields(body, {"text", "model"}, place.options.strict_fields));
  ScoreCall out;
  out.inputs_name = "text";
  out.request.inputs.push_back({.text = text});
  out.write = [place, text = std::move(text)](const tasks::EmbedAnswer& answer) {
    std::string written;
    append_prediction(written, place.model, text, answer.items[0]->vector);
    return written;
  };
  return out;
}

Result<ScoreCall> parse_predict_batch(const JsonObject& body, const ScorePlace& place) {
  const auto field = field_of(body, "texts");
  if (!field) return invalid("texts is missing", "texts");
  simdjson::dom::array array;
  if (field->get_array().get(array))
    return invalid(concat("texts: want an array of strings, got ", json_kind(*field)), "texts");
  size_t count = 0;
  for ([[maybe_unused]] const JsonElement item : array) ++count;
  if (count == 0) return invalid("texts is an empty array", "texts");
  SIS_TRY(check_count(count, place.options.predict_texts_max, "texts", "texts",
                      "PREDICT_MAX_BATCH_SIZE"));
  SIS_TRY(check_fields(body, {"texts", "model"}, place.options.strict_fields));
  ScoreCall out;
  out.inputs_name = "texts";
  std::vector<std::string> texts;
  texts.reserve(count);
  for (const JsonElement item : array) {
    SIS_ASSIGN(auto text,
               read_prediction_text(item, concat("texts[", texts.size(), "]"), place.options));
    out.request.inputs.push_back({.text = text});
    texts.push_back(std::move(text));
  }
  out.write = [place, texts = std::move(texts)](const tasks::EmbedAnswer& answer) {
    std::string written = R"({"predictions":[)";
    for (size_t i = 0; i < texts.size(); ++i) {
      if (i > 0) written += ',';
      append_prediction(written, place.model, texts[i], answer.items[i]->vector);
    }
    written += "]}";
    return written;
  };
  return out;
}

Result<ScoreCall> parse_tei_predict(const JsonObject& body, const ScorePlace& place) {
  const auto inputs = field_of(body, "inputs");
  if (!inputs) return invalid("inputs is missing", "inputs");
  ScoreCall out;
  out.inputs_name = "inputs";
  out.request.truncate = false;
  SIS_ASSIGN(const bool batch, read_inputs(*inputs, place.options, out.request));
  bool raw = false;
  SIS_TRY(read_flag(body, "raw_scores", raw));
  SIS_TRY(read_truncation(body, out.request));
  SIS_TRY(check_fields(body, {"inputs", "model", "raw_scores", "truncate", "truncation_direction"},
                       place.options.strict_fields));
  out.write = [place, batch, raw](const tasks::EmbedAnswer& answer) {
    const auto rule = raw ? tasks::ScoreRule::kRaw : place.model.rule;
    std::string text;
    if (batch)
      append_all_ranked(text, place.model, rule, answer);
    else
      append_ranked_labels(text, place.model, tasks::scores_of(answer.items[0]->vector, rule));
    return text;
  };
  return out;
}

std::string model_info_json(const ScoreModel& model) {
  std::string out = R"({"model_name":)";
  telemetry::append_json_string(out, model.name);
  out += R"(,"version":)";
  telemetry::append_json_string(out, model.version);
  out += R"(,"run_id":)";
  telemetry::append_json_string(out, model.version);
  out += R"(,"model_uri":)";
  telemetry::append_json_string(out, model.uri);
  out += R"(,"stage":"Production","loaded_at":)";
  telemetry::append_json_string(out, utc_text(model.loaded_at));
  out += R"(,"labels":[)";
  for (size_t i = 0; i < model.labels.size(); ++i) {
    if (i > 0) out += ',';
    telemetry::append_json_string(out, model.labels[i]);
  }
  out += "]}";
  return out;
}

}  // namespace sis::api
