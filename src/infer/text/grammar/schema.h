// JSON Schema to rules: see docs/structured-output.md for what is read, and how.
//
// schema_set.h decides which parts of a schema hold for a value at once, schema_shape.h what they
// say together, schema.cc writes that as rules.
#pragma once

#include <string_view>

#include "base/result.h"
#include "infer/text/grammar/automaton.h"
#include "infer/text/grammar/source.h"

namespace sis::text::grammar {

// The rule for a value that `schema`, JSON text, takes. Errors have `param` set to the way to the
// fault.
Result<RuleId> add_json_schema(AutomatonBuilder& builder, std::string_view schema,
                               const JsonSchemaOptions& options);

// Keywords, and formats of `format`, that say nothing about which texts there are.
bool is_note_keyword(std::string_view keyword);
bool is_note_format(std::string_view format);

}  // namespace sis::text::grammar
