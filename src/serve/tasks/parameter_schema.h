// What a tool's schema says about how forms that write each argument by itself write it: without
// quotes a value stands as it is when it must be a string, as JSON otherwise. Shared by the parsers
// and the grammars of such forms.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sis::tasks {

// What ends a value in the XML form. The line break that may stand behind the opening tag counts as
// the one before it: a value is empty when this comes at once.
inline constexpr std::string_view kXmlValueEnd = "\n</parameter>";

// The schema that lists the parameters: `root`, or what its $ref leads to, with the references on
// the way in `way`. Null where one leads nowhere, or on without end.
template <class Json>
const Json* parameters_schema(const Json& root, std::vector<const Json*>* way = nullptr) {
  constexpr int kReferencesMax = 16;
  const Json* schema = &root;
  for (int i = 0; schema->is_object() && schema->contains("$ref"); ++i) {
    if (way != nullptr) way->push_back(schema);
    const Json& reference = (*schema)["$ref"];
    if (i >= kReferencesMax || !reference.is_string()) return nullptr;
    const auto& pointer = reference.template get_ref<const std::string&>();
    if (!pointer.starts_with("#/")) return nullptr;
    try {
      schema = &root.at(typename Json::json_pointer(pointer.substr(1)));
    } catch (const typename Json::exception&) {
      return nullptr;
    }
  }
  return schema;
}

// The texts to choose from; empty when it is not a choice of strings only, or one of them would end
// too early.
template <class Json>
std::vector<std::string> string_choices(const Json& schema) {
  if (!schema.is_object() || !schema.contains("enum") || !schema["enum"].is_array()) return {};
  const auto& values = schema["enum"];
  const auto can_stand = [](const Json& value) {
    return value.is_string() &&
           ("\n" + value.template get<std::string>()).find(kXmlValueEnd) == std::string::npos;
  };
  if (!std::all_of(values.begin(), values.end(), can_stand)) return {};
  return values.template get<std::vector<std::string>>();
}

template <class Json>
bool is_plain_text(const Json& schema) {
  if (!schema.is_object()) return false;
  if (schema.contains("enum")) return !string_choices(schema).empty();
  return !schema.contains("const") && schema.contains("type") && schema["type"] == "string";
}

}  // namespace sis::tasks
