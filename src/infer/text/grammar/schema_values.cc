// Values beside schemas: which of an enum's are accepted, and what tells two schemas apart.
#include <algorithm>

#include "base/strings.h"
#include "infer/text/grammar/schema_shape.h"

namespace sis::text::grammar {
namespace {

using Kind = JsonNode::Kind;

uint8_t type_of(const JsonNode& value) {
  switch (value.kind) {
    case Kind::kNull:
      return kNullType;
    case Kind::kBool:
      return kBoolType;
    case Kind::kNumber: {
      const auto number = Decimal::parse(value.text);
      return number && !number->is_whole() ? kNumberType : kNumberType | kIntegerType;
    }
    case Kind::kString:
      return kStringType;
    case Kind::kArray:
      return kArrayType;
    case Kind::kObject:
      return kObjectType;
  }
  return 0;
}

Result<bool> set_accepts(SchemaSets& sets, const SchemaSet& set, const JsonNode& value) {
  if (set.empty()) return true;
  SIS_ASSIGN(const auto alternatives, sets.alternatives(set));
  for (const SchemaSet& one : alternatives) {
    SIS_ASSIGN(const SchemaShape shape, shape_of(sets, one));
    bool is_value = !shape.values;
    if (shape.values)
      for (const JsonNode* wanted : *shape.values) is_value |= wanted->same_value(value);
    if (!is_value) continue;
    SIS_ASSIGN(const bool is_accepted, accepts(sets, shape, value));
    if (is_accepted) return true;
  }
  return false;
}

}  // namespace

// As deep as JsonTree lets values be.
Result<bool> accepts(SchemaSets& sets, const SchemaShape& shape, const JsonNode& value) {
  if ((type_of(value) & shape.types) == 0) return false;
  switch (value.kind) {
    case Kind::kNull:
    case Kind::kBool:
      return true;
    case Kind::kNumber: {
      if (!shape.numbers.is_bounded()) return true;
      const auto number = Decimal::parse(value.text);
      return number && shape.numbers.contains(*number);
    }
    case Kind::kString:
      if (shape.strings.is_plain()) {
        const int64_t length = count_code_points(value.text);
        return length >= shape.strings.length_min &&
               (shape.strings.length_max == kUnbounded || length <= shape.strings.length_max);
      }
      return matches(shape.strings, value.text, sets.effort());
    case Kind::kArray: {
      const size_t count = value.items.size();
      if (count < shape.items_min || (shape.items_max != kUnbounded && count > shape.items_max))
        return false;
      for (size_t i = 0; i < count; ++i) {
        const SchemaSet& set = i < shape.prefix.size() ? shape.prefix[i] : shape.items;
        SIS_ASSIGN(const bool is_accepted, set_accepts(sets, set, *value.items[i]));
        if (!is_accepted) return false;
      }
      return true;
    }
    case Kind::kObject: {
      const size_t count = value.members.size();
      if (count < shape.properties_min ||
          (shape.properties_max != kUnbounded && count > shape.properties_max))
        return false;
      for (const auto& property : shape.properties)
        if (property.required && value.find(property.name) == nullptr) return false;
      for (const auto& [name, member] : value.members) {
        const SchemaSet* set = nullptr;
        for (const auto& property : shape.properties)
          if (property.name == name) set = &property.schemas;
        for (const auto& pattern : shape.patterns) {
          if (set != nullptr) break;
          StringRules rules;
          rules.patterns.push_back(pattern.names);
          SIS_ASSIGN(const bool is_match, matches(rules, name, sets.effort()));
          if (is_match) set = &pattern.schemas;
        }
        if (set == nullptr && shape.has_additional) set = &shape.additional;
        if (set == nullptr) return false;
        SIS_ASSIGN(const bool is_accepted, set_accepts(sets, *set, *member));
        if (!is_accepted) return false;
      }
      return true;
    }
  }
  return false;
}

Result<SchemaFacts> facts_of(SchemaSets& sets, const SchemaSet& set, bool with_properties) {
  SIS_ASSIGN(const auto alternatives, sets.alternatives(set, /*check_one_of=*/false));
  SchemaFacts facts;
  bool is_first = true;
  for (const SchemaSet& one : alternatives) {
    SIS_ASSIGN(const SchemaShape shape, shape_of(sets, one));
    SchemaFacts ours{.types = shape.types, .values = shape.values};
    if (shape.values) {
      uint8_t types = 0;
      for (const JsonNode* value : *shape.values) types |= type_of(*value);
      ours.types &= types;
    }
    if (with_properties) {
      for (const auto& property : shape.properties) {
        if (!property.required || property.schemas.empty()) continue;
        SIS_ASSIGN(SchemaFacts inner, facts_of(sets, property.schemas, /*with_properties=*/false));
        ours.properties.push_back({property.name, std::move(inner)});
      }
    }
    if (is_first) {
      facts = std::move(ours);
      is_first = false;
      continue;
    }
    // What holds for one or the other.
    facts.types |= ours.types;
    if (facts.values && ours.values)
      facts.values->insert(facts.values->end(), ours.values->begin(), ours.values->end());
    else
      facts.values.reset();
    facts.properties.clear();
  }
  return facts;
}

bool are_disjoint(const SchemaFacts& a, const SchemaFacts& b) {
  // A whole number is both kinds.
  if ((a.types & b.types) == 0) return true;
  if (a.values && b.values) {
    return std::none_of(a.values->begin(), a.values->end(), [&](const JsonNode* ours) {
      return std::any_of(b.values->begin(), b.values->end(),
                         [&](const JsonNode* theirs) { return ours->same_value(*theirs); });
    });
  }
  if ((a.types & b.types) != kObjectType) return false;
  for (const auto& [name, ours] : a.properties)
    for (const auto& [other, theirs] : b.properties)
      if (name == other && are_disjoint(ours, theirs)) return true;
  return false;
}

}  // namespace sis::text::grammar
