// How an element of tokenizer.json finds its class: one table row per "type".
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "infer/text/tokenizer/json.h"

namespace sis::text::tok {

template <class Interface>
struct RegistryRow {
  std::string_view type;
  Result<std::unique_ptr<Interface>> (*make)(const JsonObject& config);
};

// Builds what `config.type` names; a type without a row is an error that lists those there are.
template <class Interface>
Result<std::unique_ptr<Interface>> make_by_type(std::span<const RegistryRow<Interface>> rows,
                                                const JsonObject& config) {
  SIS_ASSIGN(const std::string_view type, config.string("type"));
  std::string known;
  for (const auto& row : rows) {
    if (row.type == type) return row.make(config);
    known += known.empty() ? "" : ", ";
    known += row.type;
  }
  return Error{Code::kInvalidArgument, concat(config.path_of("type"), ": ", in_quotes(type),
                                              " is not supported (there are ", known, ")")};
}

}  // namespace sis::text::tok
