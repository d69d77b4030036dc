// What the schema of one parameter says about how forms without quotes write its value: as it is
// when it must be a string, as JSON otherwise. Shared by the parser and the grammar of such a form.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sis::tasks {

// The texts to choose from; empty when it is not a choice of strings only.
template <class Json>
std::vector<std::string> string_choices(const Json& schema) {
  if (!schema.is_object() || !schema.contains("enum") || !schema["enum"].is_array()) return {};
  const auto& values = schema["enum"];
  if (!std::all_of(values.begin(), values.end(), [](const auto& v) { return v.is_string(); }))
    return {};
  return values.template get<std::vector<std::string>>();
}

template <class Json>
bool is_plain_text(const Json& schema) {
  if (!schema.is_object()) return false;
  if (schema.contains("enum")) return !string_choices(schema).empty();
  return !schema.contains("const") && schema.contains("type") && schema["type"] == "string";
}

}  // namespace sis::tasks
