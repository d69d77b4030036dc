// The fields that requests of classifiers and rerankers share, read with the embedding guards.
//
// Every fault is kInvalidArgument with the field in `param`; a count over the server's own limit
// has the reason kLimitReason.
#pragma once

#include <simdjson.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/api/predict/score_call.h"

namespace sis::api {

using JsonObject = simdjson::dom::object;
using JsonElement = simdjson::dom::element;

// The member, unless it is absent or null.
std::optional<JsonElement> field_of(const JsonObject& body, std::string_view key);
// The first of these that is there.
std::optional<std::pair<const char*, JsonElement>> first_field(
    const JsonObject& body, std::initializer_list<const char*> keys);

// A string of at most options.text_chars_max characters.
Result<std::string> read_text(const JsonElement& value, const std::string& param,
                              const ScoreOptions& options);
// A string, or an array of 1 to `texts_max` strings.
Result<std::vector<std::string>> read_texts(const JsonElement& value, const std::string& param,
                                            int64_t texts_max, const char* limit_name,
                                            const ScoreOptions& options);
Status check_count(size_t count, int64_t most, const std::string& param, const char* noun,
                   const char* limit_name);

// true or false; `flag` stays as it is when the field is absent.
Status read_flag(const JsonObject& body, const char* key, bool& flag);
Status read_flag(const JsonObject& body, const char* key, std::optional<bool>& flag);
Status read_count(const JsonObject& body, const char* key, std::optional<int64_t>& count);

// truncate, truncate_prompt_tokens, truncation_direction: how long inputs are cut.
Status read_truncation(const JsonObject& body, tasks::EmbedRequest& request);

// In strict mode: kInvalidArgument naming the first field that is none of these.
Status check_fields(const JsonObject& body, std::initializer_list<std::string_view> known,
                    bool strict);

// ,"usage":{"prompt_tokens","total_tokens","completion_tokens"}
void append_usage(std::string& out, int64_t tokens);
// "id":"PREFIX-...","created":...,"model":...
void append_identity(std::string& out, const char* prefix, const ScorePlace& place);

}  // namespace sis::api
