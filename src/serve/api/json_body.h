// A request's JSON body: parsing it, and reading its fields as forgivingly as the API's clients
// need.
//
// Numbers and booleans may come as strings; a fault is kInvalidArgument with the field in `param`.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_kind.h"
#include "base/result.h"

namespace sis::api {

// Of a Content-Type header; none at all counts as JSON.
bool is_json_type(std::string_view content_type);

// `body` is valid for reads up to 64 bytes past its end. The answer lives in this thread's parser:
// valid until the next call on this thread.
Result<simdjson::dom::object> parse_body(std::string_view body);

Error invalid(std::string message, std::string param);
// 5, 5.0 and "5" are five; 5.5 is nothing.
std::optional<int64_t> lenient_int(const simdjson::dom::element& value);
std::optional<double> lenient_double(const simdjson::dom::element& value);
std::optional<bool> lenient_bool(const simdjson::dom::element& value);
// At least one whole number from 0; whether a model has such tokens is the caller's question.
Result<std::vector<int32_t>> token_ids(const simdjson::dom::array& array, const std::string& param);

}  // namespace sis::api
