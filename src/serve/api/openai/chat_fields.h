// The fields that /v1/chat/completions and /v1/completions share: sampling, limits, stops,
// streaming and structured output.
//
// Every fault is kInvalidArgument with the field in `param`. Numbers and booleans may come as
// strings. Nulls are the caller's to skip.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "serve/tasks/generate.h"

namespace sis::api {

// What parsing has to know of the model.
struct ModelFacts {
  std::string name;
  int32_t vocab_size = 0;
  bool structured_outputs = true;  // false: response_format and its like are refused
};

struct GenerateFields {
  tasks::GenerateCall call;
  bool stream = false;
  bool include_usage = false;  // of a stream
  std::optional<Duration> timeout;
  // Which field set them, for messages; empty: none did.
  std::string format_field, stream_options_field;
};

// What a field wants and what it got: "temperature: want a number from 0 to 2, got 3".
Error unwanted(std::string_view param, std::string_view want, const simdjson::dom::element& got);
Result<int64_t> whole_number(const simdjson::dom::element& value, std::string_view param,
                             int64_t least, int64_t most);
Result<float> number(const simdjson::dom::element& value, std::string_view param, double least,
                     double most);
Result<bool> flag(const simdjson::dom::element& value, std::string_view param);
Result<std::string> text_of(const simdjson::dom::element& value, std::string_view param);

// Reads the field if it is a shared one; false: it is not.
Result<bool> read_shared_field(std::string_view key, const simdjson::dom::element& value,
                               const ModelFacts& model, GenerateFields& fields);
// What only all fields together can break.
Status check_shared_fields(const ModelFacts& model, const GenerateFields& fields);
// Bounds the memory that logprobs of all choices of `prompts` prompts take; `param` asks for them.
Status check_logprob_count(int64_t prompts, const char* param, const tasks::GenerateCall& call);

}  // namespace sis::api
