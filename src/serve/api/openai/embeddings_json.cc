#include "serve/api/openai/embeddings_json.h"

#include <simdjson.h>

#include <cmath>
#include <span>

#include "base/strings.h"
#include "serve/api/json_body.h"
#include "serve/api/json_text.h"
#include "serve/api/request_timeout.h"
#include "telemetry/json_text.h"

namespace sis::api {
namespace {

using simdjson::dom::element;

Status add_text(std::string_view text, const std::string& param, const EmbeddingsLimits& limits,
                tasks::EmbedRequest& request) {
  if (text.empty()) return invalid(concat(param, " is an empty string"), param);
  // Bytes bound code points from above: most texts need no count.
  if (static_cast<int64_t>(text.size()) > limits.text_chars_max)
    if (const int64_t chars = count_code_points(text); chars > limits.text_chars_max)
      return invalid(concat(param, " has ", chars, " characters, at most ", limits.text_chars_max,
                            " are allowed (MAX_TEXT_CHARS)"),
                     param);
  request.inputs.push_back({.text = std::string(text)});
  return {};
}

Status read_input(const element& input, const EmbeddingsLimits& limits,
                  tasks::EmbedRequest& request) {
  if (input.is_string())
    return add_text(input.get_string().value_unsafe(), "input", limits, request);
  if (!input.is_array())
    return invalid(
        concat("input: want a string, an array of strings, or token ids, got ", json_kind(input)),
        "input");
  const auto array = input.get_array().value_unsafe();
  if (array.size() == 0) return invalid("input is an empty array", "input");
  if ((*array.begin()).is_number()) {
    SIS_ASSIGN(auto ids, token_ids(array, "input"));
    request.inputs.push_back({.ids = std::move(ids), .tokenised = true});
    return {};
  }
  size_t count = 0;
  for ([[maybe_unused]] const element item : array) ++count;
  if (static_cast<int64_t>(count) > limits.texts_max)
    return invalid(concat("input has ", count, " texts, at most ", limits.texts_max,
                          " are allowed per request (MAX_BATCH_SIZE)"),
                   "input");
  request.inputs.reserve(count);
  for (const element item : array) {
    const std::string param = concat("input[", request.inputs.size(), "]");
    if (item.is_string()) {
      SIS_TRY(add_text(item.get_string().value_unsafe(), param, limits, request));
    } else if (item.is_array()) {
      SIS_ASSIGN(auto ids, token_ids(item.get_array().value_unsafe(), param));
      request.inputs.push_back({.ids = std::move(ids), .tokenised = true});
    } else {
      return invalid(concat(param, ": want a string or token ids, got ", json_kind(item)), param);
    }
  }
  return {};
}

Status read_field(std::string_view key, const element& value, const EmbeddingsLimits& limits,
                  EmbeddingsCall& call) {
  if (key == "input" || key == "model") return {};
  if (key == "encoding_format") {
    std::string_view format;
    if (value.get_string().get(format) == simdjson::SUCCESS &&
        (format == "float" || format == "base64")) {
      call.base64 = format == "base64";
      return {};
    }
    return invalid(concat("encoding_format: want 'float' or 'base64', got ",
                          value.is_string() ? in_quotes(format) : json_kind(value)),
                   "encoding_format");
  }
  if (key == "dimensions") {
    const auto dimensions = lenient_int(value);
    if (!dimensions || *dimensions < 1 || *dimensions > INT32_MAX)
      return invalid("dimensions: want a whole number from 1", "dimensions");
    call.dimensions = static_cast<int32_t>(*dimensions);
    return {};
  }
  if (key == "truncate") {
    const auto truncate = lenient_bool(value);
    if (!truncate) return invalid("truncate: want true or false", "truncate");
    call.request.truncate = *truncate;
    return {};
  }
  if (key == "truncate_prompt_tokens") {
    const auto tokens = lenient_int(value);
    if (!tokens || *tokens < -1 || *tokens == 0 || *tokens > INT32_MAX)
      return invalid(
          "truncate_prompt_tokens: want a whole number from 1, or -1 for the model's limit",
          "truncate_prompt_tokens");
    call.request.truncate = true;
    call.request.tokens_max = *tokens == -1 ? 0 : static_cast<int32_t>(*tokens);
    return {};
  }
  if (key == "timeout") {
    SIS_ASSIGN(call.timeout, read_timeout_field(value));
    return {};
  }
  if (key == "user" || !limits.strict_fields) return {};
  return invalid(concat("unknown field ", in_quotes(key)), std::string(key));
}

}  // namespace

Result<EmbeddingsCall> parse_embeddings(
    std::string_view body, const EmbeddingsLimits& limits,
    const std::function<Status(const std::string& model)>& known_model) {
  SIS_ASSIGN(const auto object, parse_body(body));

  EmbeddingsCall call;
  element model;
  std::string_view name;
  if (object.at_key("model").get(model) || model.get_string().get(name) || name.empty())
    return invalid("model: want a non-empty string", "model");
  call.model = name;
  SIS_TRY(known_model(call.model));

  call.request.truncate = limits.truncate;
  for (const auto field : object) {
    if (field.value.is_null() && field.key != "input") continue;
    SIS_TRY(read_field(field.key, field.value, limits, call));
  }
  element input;
  if (object.at_key("input").get(input)) return invalid("input is missing", "input");
  SIS_TRY(read_input(input, limits, call.request));
  return call;
}

Result<std::string> write_embeddings(const tasks::EmbedAnswer& answer, std::string_view model,
                                     bool base64, int32_t dimensions, bool count_tokens) {
  std::string out;
  const size_t native = answer.items.empty() ? 0 : answer.items.front()->vector.size();
  const size_t width = dimensions > 0 ? static_cast<size_t>(dimensions) : native;
  out.reserve(answer.items.size() * (64 + (base64 ? width * 16 / 3 + 4 : width * 13)) + 160 +
              model.size());
  out += R"({"object":"list","data":[)";
  std::vector<float> cut;
  for (size_t i = 0; i < answer.items.size(); ++i) {
    std::span<const float> vector = answer.items[i]->vector;
    if (width < vector.size()) {
      cut.assign(vector.begin(), vector.begin() + static_cast<std::ptrdiff_t>(width));
      double squares = 0;
      for (const float x : cut) squares += static_cast<double>(x) * x;
      if (squares > 0)
        for (float& x : cut) x = static_cast<float>(x / std::sqrt(squares));
      vector = cut;
    }
    for (const float x : vector)
      if (!std::isfinite(x))
        return Error{Code::kInternal,
                     concat("the model made a value that is not a number for input[", i, "]")};
    if (i > 0) out += ',';
    out += R"({"object":"embedding","index":)";
    append_int(out, static_cast<int64_t>(i));
    out += R"(,"embedding":)";
    if (base64) {
      out += '"';
      append_base64(out, std::as_bytes(vector));
      out += '"';
    } else {
      out += '[';
      for (size_t c = 0; c < vector.size(); ++c) {
        if (c > 0) out += ',';
        append_float(out, vector[c]);
      }
      out += ']';
    }
    out += '}';
  }
  out += R"(],"model":)";
  telemetry::append_json_string(out, model);
  const int64_t tokens = count_tokens ? answer.tokens : 0;
  out += R"(,"usage":{"prompt_tokens":)";
  append_int(out, tokens);
  out += R"(,"total_tokens":)";
  append_int(out, tokens);
  out += R"(,"completion_tokens":null}})";
  return out;
}

}  // namespace sis::api
