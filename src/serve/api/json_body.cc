#include "serve/api/json_body.h"

#include <cmath>

#include "base/strings.h"

namespace sis::api {

using simdjson::dom::element;
using simdjson::dom::element_type;

bool is_json_type(std::string_view content_type) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  return type.empty() || iequals(type, "application/json") ||
         (type.size() > 5 && iequals(type.substr(type.size() - 5), "+json"));
}

Result<simdjson::dom::object> parse_body(std::string_view body) {
  // One parser a thread keeps its buffers; a huge body's are given back.
  thread_local simdjson::dom::parser parser;
  if (parser.capacity() > (4u << 20)) parser = simdjson::dom::parser();
  element root;
  if (const auto error =
          parser.parse(body.data(), body.size(), /*realloc_if_needed=*/false).get(root))
    return invalid(concat("the body is not valid JSON: ", simdjson::error_message(error)), "");
  simdjson::dom::object object;
  if (root.get_object().get(object))
    return invalid(concat("the body must be a JSON object, got ", json_kind(root)), "");
  return object;
}

Error invalid(std::string message, std::string param) {
  return {Code::kInvalidArgument, std::move(message), std::move(param)};
}

std::optional<int64_t> lenient_int(const element& value) {
  switch (value.type()) {
    case element_type::INT64:
      return value.get_int64().value_unsafe();
    case element_type::DOUBLE: {
      const double d = value.get_double().value_unsafe();
      if (d == std::floor(d) && std::abs(d) < 9e15) return static_cast<int64_t>(d);
      return std::nullopt;
    }
    case element_type::STRING:
      return parse_int(trim(value.get_string().value_unsafe()));
    default:
      return std::nullopt;
  }
}

std::optional<double> lenient_double(const element& value) {
  double number = 0;
  if (value.is_number() && value.get_double().get(number) == simdjson::SUCCESS) return number;
  if (value.is_string()) return parse_double(trim(value.get_string().value_unsafe()));
  return std::nullopt;
}

std::optional<bool> lenient_bool(const element& value) {
  if (value.is_bool()) return value.get_bool().value_unsafe();
  if (value.is_string()) {
    const std::string word = to_lower(value.get_string().value_unsafe());
    for (const char* yes : {"1", "true", "yes", "on", "t", "y"})
      if (word == yes) return true;
    for (const char* no : {"0", "false", "no", "off", "f", "n"})
      if (word == no) return false;
  }
  if (const auto number = lenient_int(value); number && (*number == 0 || *number == 1))
    return *number == 1;
  return std::nullopt;
}

Result<std::vector<int32_t>> token_ids(const simdjson::dom::array& array,
                                       const std::string& param) {
  std::vector<int32_t> ids;
  ids.reserve(array.size());
  for (const element item : array) {
    if (!item.is_int64() || item.get_int64().value_unsafe() < 0 ||
        item.get_int64().value_unsafe() > INT32_MAX)
      return invalid(concat(param, ": want token ids (whole numbers from 0), got ", json_kind(item),
                            " at position ", ids.size()),
                     param);
    ids.push_back(static_cast<int32_t>(item.get_int64().value_unsafe()));
  }
  if (ids.empty()) return invalid(concat(param, " is an empty array"), param);
  return ids;
}

}  // namespace sis::api
