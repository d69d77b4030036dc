#include "serve/api/predict/score_fields.h"

#include <algorithm>

#include "base/strings.h"
#include "serve/api/json_body.h"
#include "serve/api/json_text.h"
#include "serve/api/predict/error_shape.h"
#include "telemetry/json_text.h"

namespace sis::api {

std::optional<JsonElement> field_of(const JsonObject& body, std::string_view key) {
  JsonElement value;
  if (body.at_key(key).get(value) || value.is_null()) return std::nullopt;
  return value;
}

std::optional<std::pair<const char*, JsonElement>> first_field(
    const JsonObject& body, std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (const auto value = field_of(body, key)) return std::pair(key, *value);
  return std::nullopt;
}

Result<std::string> read_text(const JsonElement& value, const std::string& param,
                              const ScoreOptions& options) {
  std::string_view text;
  if (value.get_string().get(text))
    return invalid(concat(param, ": want a string, got ", json_kind(value)), param);
  // Bytes bound code points from above: most texts need no count.
  if (static_cast<int64_t>(text.size()) > options.text_chars_max)
    if (const int64_t chars = count_code_points(text); chars > options.text_chars_max)
      return invalid(concat(param, " has ", chars, " characters, at most ", options.text_chars_max,
                            " are allowed (MAX_TEXT_CHARS)"),
                     param);
  return std::string(text);
}

Status check_count(size_t count, int64_t most, const std::string& param, const char* noun,
                   const char* limit_name) {
  if (static_cast<int64_t>(count) <= most) return {};
  Error error = invalid(concat(param, " has ", count, " ", noun, ", at most ", most,
                               " are allowed per request (", limit_name, ")"),
                        param);
  error.reason = kLimitReason;
  return error;
}

Result<std::vector<std::string>> read_texts(const JsonElement& value, const std::string& param,
                                            int64_t texts_max, const char* limit_name,
                                            const ScoreOptions& options) {
  std::vector<std::string> texts;
  simdjson::dom::array array;
  if (value.get_array().get(array)) {
    if (!value.is_string())
      return invalid(
          concat(param, ": want a string or an array of strings, got ", json_kind(value)), param);
    SIS_ASSIGN(auto text, read_text(value, param, options));
    texts.push_back(std::move(text));
    return texts;
  }
  size_t count = 0;
  for ([[maybe_unused]] const JsonElement item : array) ++count;
  if (count == 0) {
    Error error = invalid(concat(param, " is an empty array"), param);
    error.reason = kEmptyReason;
    return error;
  }
  SIS_TRY(check_count(count, texts_max, param, "texts", limit_name));
  texts.reserve(count);
  for (const JsonElement item : array) {
    SIS_ASSIGN(auto text, read_text(item, concat(param, "[", texts.size(), "]"), options));
    texts.push_back(std::move(text));
  }
  return texts;
}

Status read_flag(const JsonObject& body, const char* key, bool& flag) {
  std::optional<bool> read;
  SIS_TRY(read_flag(body, key, read));
  flag = read.value_or(flag);
  return {};
}

Status read_flag(const JsonObject& body, const char* key, std::optional<bool>& flag) {
  const auto value = field_of(body, key);
  if (!value) return {};
  const auto read = lenient_bool(*value);
  if (!read) return invalid(concat(key, ": want true or false, got ", json_kind(*value)), key);
  flag = read;
  return {};
}

Status read_count(const JsonObject& body, const char* key, std::optional<int64_t>& count) {
  const auto value = field_of(body, key);
  if (!value) return {};
  const auto read = lenient_int(*value);
  if (!read || *read < 1)
    return invalid(concat(key, ": want a whole number from 1, got ",
                          read ? concat(*read) : std::string(json_kind(*value))),
                   key);
  count = read;
  return {};
}

Status read_truncation(const JsonObject& body, tasks::EmbedRequest& request) {
  SIS_TRY(read_flag(body, "truncate", request.truncate));
  if (const auto value = field_of(body, "truncate_prompt_tokens")) {
    const auto tokens = lenient_int(*value);
    if (!tokens || *tokens < -1 || *tokens == 0 || *tokens > INT32_MAX)
      return invalid(
          "truncate_prompt_tokens: want a whole number from 1, or -1 for the model's limit",
          "truncate_prompt_tokens");
    request.truncate = true;
    request.tokens_max = *tokens == -1 ? 0 : static_cast<int32_t>(*tokens);
  }
  if (const auto value = field_of(body, "truncation_direction")) {
    std::string_view word;
    if (value->get_string().get(word) || !(iequals(word, "right") || iequals(word, "left")))
      return invalid("truncation_direction: want 'Right' or 'Left'", "truncation_direction");
    if (request.truncate && iequals(word, "left"))
      return invalid("truncation_direction: 'Left' is not supported, texts are cut at their end",
                     "truncation_direction");
  }
  return {};
}

Status check_fields(const JsonObject& body, std::initializer_list<std::string_view> known,
                    bool strict) {
  if (!strict) return {};
  for (const auto field : body)
    if (std::find(known.begin(), known.end(), field.key) == known.end())
      return invalid(concat("unknown field ", in_quotes(field.key)), std::string(field.key));
  return {};
}

void append_usage(std::string& out, int64_t tokens) {
  out += R"(,"usage":{"prompt_tokens":)";
  append_int(out, tokens);
  out += R"(,"total_tokens":)";
  append_int(out, tokens);
  out += R"(,"completion_tokens":0})";
}

void append_identity(std::string& out, const char* prefix, const ScorePlace& place) {
  out += R"("id":)";
  telemetry::append_json_string(out, concat(prefix, "-", place.request_id));
  out += R"(,"created":)";
  append_int(out, place.now);
  out += R"(,"model":)";
  telemetry::append_json_string(out, place.model.name);
}

}  // namespace sis::api
