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

}  // namespace

// As deep as JsonTree lets values be.
Result<bool> accepts(SchemaSets& sets, const SchemaShape& shape, const JsonNode& value) {
  if ((type_of(value) & shape.types_declared) == 0) return false;
  if (shape.is_object_only && !value.is(Kind::kObject)) return false;
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
        SIS_ASSIGN(const bool is_accepted, accepts(sets, set, *value.items[i]));
        if (!is_accepted) return false;
      }
      return true;
    }
    case Kind::kObject: {
      const size_t count = value.members.size();
      if (count < shape.properties_min ||
          (shape.properties_max != kUnbounded && count > shape.properties_max))
        return false;
      sets.effort().work(16 * static_cast<int64_t>(shape.properties.size()));
      for (const auto& property : shape.properties)
        if (property.required && value.find(property.name) == nullptr) return false;
      for (const auto& [name, member] : value.members) {
        sets.effort().work(16);
        SIS_TRY(sets.effort().status());
        SIS_ASSIGN(bool is_accepted, accepts_name(sets, shape, name));
        const auto take = [&](const SchemaSet& set) -> Status {
          SIS_ASSIGN(const bool is_taken, accepts(sets, set, *member));
          is_accepted &= is_taken;
          return {};
        };
        const auto declared = shape.property_index.find(name);
        bool is_known = declared != shape.property_index.end();
        if (is_known) {
          SIS_TRY(take(shape.properties[declared->second].schemas));
        } else {
          for (const auto& pattern : shape.patterns) {
            StringRules rules;
            rules.patterns.push_back(pattern.names);
            SIS_ASSIGN(const bool is_match, matches(rules, name, sets.effort()));
            is_known |= is_match;
            if (is_match) SIS_TRY(take(pattern.schemas));
          }
        }
        if (!is_known) {
          is_accepted &= !shape.is_closed;
          SIS_TRY(take(shape.additional));
        }
        if (!is_accepted) return false;
      }
      return true;
    }
  }
  return false;
}

Result<bool> accepts(SchemaSets& sets, const SchemaSet& set, const JsonNode& value) {
  if (set.empty()) return true;
  SIS_ASSIGN(const auto alternatives, sets.alternatives(set));
  for (const SchemaSet& one : alternatives) {
    SIS_ASSIGN(const SchemaShape shape, shape_of(sets, one));
    bool is_value = !shape.values;
    if (shape.values) {
      sets.effort().work(4 * static_cast<int64_t>(shape.values->size()));
      for (const JsonNode* wanted : *shape.values) is_value |= wanted->compare(value) == 0;
    }
    if (!is_value) continue;
    SIS_ASSIGN(const bool is_accepted, accepts(sets, shape, value));
    if (is_accepted) return true;
  }
  return false;
}

Result<bool> accepts_name(SchemaSets& sets, const SchemaShape& shape, const std::string& name) {
  if (shape.names.empty()) return true;
  return accepts(sets, shape.names, JsonNode{.kind = Kind::kString, .text = name});
}

Result<SchemaFacts> facts_of(SchemaSets& sets, const SchemaSet& set, bool with_properties) {
  SIS_ASSIGN(const auto alternatives, sets.alternatives(set, /*check_one_of=*/false));
  SchemaFacts facts;
  std::optional<std::vector<const JsonNode*>> values;
  bool is_first = true;
  for (const SchemaSet& one : alternatives) {
    SIS_ASSIGN(SchemaShape shape, shape_of(sets, one));
    SchemaFacts ours{.types = shape.types_declared, .types_written = shape.types};
    if (shape.values) {
      uint8_t types = 0;
      for (const JsonNode* value : *shape.values) types |= type_of(*value);
      ours.types &= types;
      ours.types_written &= types;
    }
    // What holds for one or the other.
    if (is_first)
      values = std::move(shape.values);
    else if (values && shape.values)
      values->insert(values->end(), shape.values->begin(), shape.values->end());
    else
      values.reset();
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
    facts.types |= ours.types;
    facts.types_written |= ours.types_written;
    facts.properties.clear();
  }
  if (values) {
    sets.effort().work(16 * static_cast<int64_t>(values->size()));
    facts.values.emplace(std::move(*values));
  }
  std::sort(facts.properties.begin(), facts.properties.end(),
            [](const PropertyFacts& a, const PropertyFacts& b) { return a.name < b.name; });
  return facts;
}

bool are_disjoint(const SchemaFacts& a, const SchemaFacts& b, Effort& effort) {
  // A whole number is both kinds.
  const int common = (a.types_written & b.types) | (a.types & b.types_written);
  if (common == 0) return true;
  if (a.values && b.values) {
    effort.work(4 * static_cast<int64_t>(a.values->size() + b.values->size()));
    return !a.values->has_common(*b.values);
  }
  if (common != kObjectType) return false;
  effort.work(4 * static_cast<int64_t>(a.properties.size() + b.properties.size()));
  for (auto ours = a.properties.begin(), theirs = b.properties.begin();
       ours != a.properties.end() && theirs != b.properties.end();) {
    const int order = ours->name.compare(theirs->name);
    if (order == 0 && are_disjoint(ours->facts, theirs->facts, effort)) return true;
    if (order <= 0) ++ours;
    if (order >= 0) ++theirs;
  }
  return false;
}

}  // namespace sis::text::grammar
