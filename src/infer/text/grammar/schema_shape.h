// What the keywords of a set of schema nodes say together about a value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "infer/text/grammar/json_tree.h"
#include "infer/text/grammar/number_range.h"
#include "infer/text/grammar/schema_set.h"
#include "infer/text/grammar/string_rules.h"

namespace sis::text::grammar {

// Bits of a set of types. Whole numbers are numbers: kNumberType without kIntegerType is not used.
enum : uint8_t {
  kNullType = 1,
  kBoolType = 2,
  kIntegerType = 4,
  kNumberType = 8,
  kStringType = 16,
  kArrayType = 32,
  kObjectType = 64,
  kAllTypes = 127,
};

struct SchemaShape {
  uint8_t types = kAllTypes;  // to write values of
  uint8_t types_declared = kAllTypes;
  bool is_object_only = false;  // see SchemaSets
  NumberRange numbers;
  StringRules strings;

  std::vector<SchemaSet> prefix;  // of the first elements
  SchemaSet items;                // of the others
  uint32_t items_min = 0, items_max = kUnbounded;

  struct Property {
    std::string name;
    SchemaSet schemas;
    bool required = false;
  };
  std::vector<Property> properties;                             // as declared
  std::unordered_map<std::string_view, size_t> property_index;  // theirs, by names in the schema
  // Other properties: by their names' pattern, if there are any, or else with any name.
  struct Pattern {
    Regex names;
    SchemaSet schemas;
  };
  std::vector<Pattern> patterns;
  bool has_additional = false;
  bool is_closed = false;  // it is said, not only meant, that there are no others
  SchemaSet additional;
  SchemaSet names;  // what every name must be
  uint32_t properties_min = 0, properties_max = kUnbounded;

  // enum and const: only these, if they are the rest as well.
  std::optional<std::vector<const JsonNode*>> values;
};

// From a set that alternatives() gave.
Result<SchemaShape> shape_of(SchemaSets& sets, const SchemaSet& set);

// Whether a value that is given is accepted: one of an enum or const beside other keywords, or a
// property's name. What schemas only mean (schemas without a type, properties that are not
// declared) does not count.
Result<bool> accepts(SchemaSets& sets, const SchemaShape& shape, const JsonNode& value);
Result<bool> accepts(SchemaSets& sets, const SchemaSet& set, const JsonNode& value);
Result<bool> accepts_name(SchemaSets& sets, const SchemaShape& shape, const std::string& name);

// What tells schemas of a oneOf apart.
struct PropertyFacts;
struct SchemaFacts {
  uint8_t types = 0;                      // it may accept values of
  uint8_t types_written = 0;              // and writes only values of
  std::optional<JsonValues> values;       // only these, if known
  std::vector<PropertyFacts> properties;  // that an object must have, in the order of their names
};
struct PropertyFacts {
  std::string name;
  SchemaFacts facts;
};
Result<SchemaFacts> facts_of(SchemaSets& sets, const SchemaSet& set, bool with_properties);
// Whether neither accepts what the other writes.
bool are_disjoint(const SchemaFacts& a, const SchemaFacts& b, Effort& effort);

}  // namespace sis::text::grammar
