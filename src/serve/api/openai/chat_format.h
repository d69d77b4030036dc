// What shape an answer must have: response_format with its guided_* relatives, and tools with
// tool_choice.
//
// Faults are kInvalidArgument with the path of the member in `param`. Whether a schema or grammar
// can be compiled is found out by the service, before anything is generated.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/tasks/generate.h"

namespace sis::api {

struct GenerateFields;

// response_format, guided_json, guided_regex, guided_grammar, grammar; false: another field.
Result<bool> read_format_field(std::string_view key, const simdjson::dom::element& value,
                               GenerateFields& fields);

// The members of a body that tools are made of, as they were found; absent: not given or null.
struct ToolFields {
  std::optional<simdjson::dom::element> tools, tool_choice, functions, function_call;
};

// Names of the tools that the template sees; absent: all.
using ShownTools = std::optional<std::vector<std::string>>;

// Sets what may be called and how. Without tools a tool_choice other than none and auto is refused.
Status read_tools(const ToolFields& fields, tasks::GenerateCall& call, ShownTools& shown);

}  // namespace sis::api
