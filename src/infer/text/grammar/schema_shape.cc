#include "infer/text/grammar/schema_shape.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "infer/text/grammar/char_set.h"
#include "infer/text/grammar/regex_syntax.h"
#include "infer/text/grammar/schema.h"

namespace sis::text::grammar {

bool is_note_keyword(std::string_view keyword) {
  constexpr std::string_view kNotes[] = {
      "title",        "description", "default",      "examples",        "example",
      "$schema",      "$id",         "id",           "$anchor",         "$comment",
      "$defs",        "definitions", "deprecated",   "readOnly",        "writeOnly",
      "$vocabulary",  "xml",         "externalDocs", "contentEncoding", "contentMediaType",
      "discriminator"};
  return std::find(std::begin(kNotes), std::end(kNotes), keyword) != std::end(kNotes) ||
         keyword.starts_with("x-");
}

bool is_note_format(std::string_view format) {
  constexpr std::string_view kNotes[] = {"int32",  "int64",    "uint32", "uint64", "float",
                                         "double", "password", "binary", "byte"};
  return std::find(std::begin(kNotes), std::end(kNotes), format) != std::end(kNotes);
}

namespace {

using Kind = JsonNode::Kind;

constexpr uint32_t kHostnameMax = 253;  // characters, with its dots

constexpr std::pair<std::string_view, uint8_t> kTypes[] = {
    {"null", kNullType},       {"boolean", kBoolType},
    {"integer", kIntegerType}, {"number", kNumberType | kIntegerType},
    {"string", kStringType},   {"array", kArrayType},
    {"object", kObjectType},
};

// Reads one node's keywords into a shape that others may have been read into.
class ShapeReader {
 public:
  ShapeReader(SchemaSets& sets, const SchemaSet& set) : sets_(sets), set_(set) {}

  Result<SchemaShape> read() {
    for (const JsonNode* node : set_) {
      node_ = node;
      for (const auto& [key, value] : node->members) {
        sets_.effort().work(4);
        SIS_TRY(read_keyword(key, *value));
      }
      SIS_TRY(sets_.effort().status());
    }
    SIS_TRY(join_arrays());
    SIS_TRY(join_objects());
    shape_.types_declared = shape_.types;
    // A schema that only speaks of one kind of value means that kind.
    if (shape_.types == kAllTypes && spoken_of_ != 0 && !shape_.values) shape_.types = spoken_of_;
    for (const JsonNode* node : set_) shape_.is_object_only |= sets_.is_object_only(*node);
    if (shape_.is_object_only) shape_.types &= kObjectType;
    return std::move(shape_);
  }

 private:
  using Read = Status (ShapeReader::*)(std::string_view, const JsonNode&);
  struct Keyword {
    Read read;
    uint8_t types = 0;  // that it speaks of
  };

  Error wrong(std::string_view key, std::string_view what) const {
    return sets_.wrong(*node_, key, what);
  }
  Error want(std::string_view key, std::string_view what, const JsonNode& found) const {
    return wrong(key, concat("want ", what, ", found ", kind_name(found.kind)));
  }

  static const std::unordered_map<std::string_view, Keyword>& keywords() {
    using R = ShapeReader;
    static const std::unordered_map<std::string_view, Keyword> table{
        {"type", {&R::read_type}},
        {"nullable", {&R::read_nullable}},
        {"enum", {&R::read_enum}},
        {"const", {&R::read_const}},
        {"minimum", {&R::read_bound, kNumberType | kIntegerType}},
        {"maximum", {&R::read_bound, kNumberType | kIntegerType}},
        {"exclusiveMinimum", {&R::read_bound, kNumberType | kIntegerType}},
        {"exclusiveMaximum", {&R::read_bound, kNumberType | kIntegerType}},
        {"multipleOf", {&R::read_multiple, kNumberType | kIntegerType}},
        {"minLength", {&R::read_count, kStringType}},
        {"maxLength", {&R::read_count, kStringType}},
        {"pattern", {&R::read_pattern, kStringType}},
        {"format", {&R::read_format}},
        {"minItems", {&R::read_count, kArrayType}},
        {"maxItems", {&R::read_count, kArrayType}},
        {"items", {&R::read_nothing, kArrayType}},
        {"prefixItems", {&R::read_nothing, kArrayType}},
        {"additionalItems", {&R::read_nothing}},
        {"uniqueItems", {&R::read_unique_items, kArrayType}},
        {"properties", {&R::read_nothing, kObjectType}},
        {"required", {&R::read_nothing, kObjectType}},
        {"additionalProperties", {&R::read_nothing, kObjectType}},
        {"patternProperties", {&R::read_nothing, kObjectType}},
        {"propertyNames", {&R::read_nothing, kObjectType}},
        {"unevaluatedProperties", {&R::read_unevaluated}},
        {"minProperties", {&R::read_count, kObjectType}},
        {"maxProperties", {&R::read_count, kObjectType}},
        // What alternatives() has dealt with.
        {"$ref", {&R::read_nothing}},
        {"allOf", {&R::read_nothing}},
        {"anyOf", {&R::read_nothing}},
        {"oneOf", {&R::read_nothing}},
    };
    return table;
  }

  Status read_keyword(std::string_view key, const JsonNode& value) {
    const auto known = keywords().find(key);
    if (known != keywords().end()) {
      spoken_of_ |= known->second.types;
      return (this->*known->second.read)(key, value);
    }
    if (is_note_keyword(key)) return {};
    return unsupported(key);
  }
  // What is left out only allows more.
  Status unsupported(std::string_view key, std::string_view what = "is not supported") const {
    if (!sets_.is_strict()) return {};
    return wrong(key, what);
  }

  // Of the first node that has `key`.
  Status unsupported_somewhere(std::string_view key, std::string_view what) {
    for (const JsonNode* node : set_) {
      node_ = node;
      if (node->find(key) != nullptr) break;
    }
    return unsupported(key, what);
  }

  Status read_nothing(std::string_view, const JsonNode&) { return {}; }

  Status read_type(std::string_view key, const JsonNode& value) {
    uint8_t types = 0;
    const auto add = [&](const JsonNode& name) -> Status {
      if (!name.is(Kind::kString)) return want(key, "a type's name or a list of them", name);
      for (const auto& [known, bits] : kTypes)
        if (known == name.text) {
          types |= bits;
          return {};
        }
      return wrong(key, concat("want a type, found ", in_quotes(name.text)));
    };
    if (value.is(Kind::kArray)) {
      for (const JsonNode* name : value.items) SIS_TRY(add(*name));
    } else {
      SIS_TRY(add(value));
    }
    if (is_nullable()) types |= kNullType;
    shape_.types &= types;
    return {};
  }
  bool is_nullable() const {
    const JsonNode* nullable = node_->find("nullable");
    return nullable != nullptr && nullable->is(Kind::kBool) && nullable->boolean;
  }
  Status read_nullable(std::string_view key, const JsonNode& value) {
    if (!value.is(Kind::kBool)) return want(key, "a boolean", value);
    return {};
  }

  Status read_enum(std::string_view key, const JsonNode& value) {
    if (!value.is(Kind::kArray)) return want(key, "an array", value);
    std::vector<const JsonNode*> values = value.items;
    static const JsonNode kNull{};
    if (is_nullable()) values.push_back(&kNull);
    return keep_values(std::move(values));
  }
  Status read_const(std::string_view, const JsonNode& value) { return keep_values({&value}); }
  Status keep_values(std::vector<const JsonNode*> values) {
    sets_.effort().work(static_cast<int64_t>(values.size()));
    if (!shape_.values) {
      shape_.values = std::move(values);
      return {};
    }
    const JsonValues theirs(std::move(values));
    sets_.effort().work(16 * static_cast<int64_t>(theirs.size() + shape_.values->size()));
    std::erase_if(*shape_.values, [&](const JsonNode* ours) { return !theirs.contains(*ours); });
    return {};
  }

  Result<Decimal> decimal(std::string_view key, const JsonNode& value) const {
    if (!value.is(Kind::kNumber)) return want(key, "a number", value);
    const auto number = Decimal::parse(value.text);
    if (!number)
      return wrong(key, concat(value.text, ": want at most ", Decimal::kDigitsMax,
                               " digits before and after the point"));
    return *number;
  }

  Status read_bound(std::string_view key, const JsonNode& value) {
    const bool is_low = key.ends_with("inimum");
    const bool is_open = key.starts_with("exclusive");
    // Draft 4 has a flag beside the bound.
    if (is_open && value.is(Kind::kBool)) return {};
    SIS_ASSIGN(const Decimal bound, decimal(key, value));
    const JsonNode* flag = node_->find(is_low ? "exclusiveMinimum" : "exclusiveMaximum");
    const bool flagged = !is_open && flag != nullptr && flag->is(Kind::kBool) && flag->boolean;
    if (is_low)
      shape_.numbers.narrow_low(bound, is_open || flagged);
    else
      shape_.numbers.narrow_high(bound, is_open || flagged);
    return {};
  }

  Status read_multiple(std::string_view key, const JsonNode& value) {
    SIS_ASSIGN(const Decimal multiple, decimal(key, value));
    if (multiple.negative || multiple.is_zero()) return wrong(key, "want a number above 0");
    std::string digits = multiple.whole + multiple.fraction;
    digits.erase(0, digits.find_first_not_of('0'));
    if (digits.size() > 5 || std::stoul(digits) > NumberRange::kMultipleMax)
      return wrong(key, concat(value.text, ": want at most ", NumberRange::kMultipleMax,
                               " steps of its last digit"));
    if (shape_.numbers.multiple_of && shape_.numbers.multiple_of->compare(multiple) != 0) {
      if (sets_.is_strict()) return wrong(key, "two of them that differ are not supported");
      return {};
    }
    shape_.numbers.multiple_of = multiple;
    return {};
  }

  Status read_count(std::string_view key, const JsonNode& value) {
    const auto number = value.is(Kind::kNumber) ? Decimal::parse(value.text) : std::nullopt;
    if (!number || !number->is_whole() || number->negative)
      return wrong(key, "want a whole number from 0");
    const auto count = parse_int(number->whole.empty() ? "0" : number->whole);
    const bool is_large = !count || *count > kRepeatMax;  // or larger than what parse_int reads
    const bool is_min = key.starts_with("min");
    if (is_min && is_large) return wrong(key, concat(value.text, ": want at most ", kRepeatMax));
    uint32_t& shape_count = key.ends_with("Length")
                                ? is_min ? shape_.strings.length_min : shape_.strings.length_max
                            : key.ends_with("Items") ? is_min ? shape_.items_min : shape_.items_max
                            : is_min                 ? shape_.properties_min
                                                     : shape_.properties_max;
    // A maximum that no text reaches is none.
    const uint32_t bound = is_large ? kUnbounded : static_cast<uint32_t>(*count);
    shape_count = is_min ? std::max(shape_count, bound) : std::min(shape_count, bound);
    return {};
  }

  Status read_pattern(std::string_view key, const JsonNode& value) {
    if (!value.is(Kind::kString)) return want(key, "a string", value);
    auto regex = parse_regex(value.text, RegexUse::kSearch);
    if (!regex) return wrong(key, regex.error().message);
    shape_.strings.patterns.push_back(std::move(*regex));
    return {};
  }

  Status read_format(std::string_view key, const JsonNode& value) {
    if (!value.is(Kind::kString)) return want(key, "a string", value);
    if (is_note_format(value.text)) return {};
    const auto pattern = format_pattern(value.text);
    if (!pattern) return unsupported(key, concat(in_quotes(value.text), " is not supported"));
    SIS_ASSIGN(Regex regex, parse_regex(*pattern, RegexUse::kWhole));
    shape_.strings.patterns.push_back(std::move(regex));
    if (value.text == "hostname")
      shape_.strings.length_max = std::min(shape_.strings.length_max, kHostnameMax);
    spoken_of_ |= kStringType;
    return {};
  }

  Status read_unique_items(std::string_view key, const JsonNode& value) {
    if (!value.is(Kind::kBool)) return want(key, "a boolean", value);
    return value.boolean ? unsupported(key) : Status{};
  }
  Status read_unevaluated(std::string_view key, const JsonNode& value) {
    // Properties that nothing declares are left out anyway.
    if (value.is(Kind::kBool) && !value.boolean) {
      shape_.is_closed = true;
      return {};
    }
    return value.is(Kind::kBool) ? Status{} : unsupported(key);
  }

  // --- arrays ---

  Status join_arrays() {
    struct Part {
      std::vector<const JsonNode*> prefix;
      const JsonNode* rest = nullptr;
    };
    std::vector<Part> parts;
    size_t prefix_max = 0;
    for (const JsonNode* node : set_) {
      node_ = node;
      Part part;
      part.rest = node->find("items");
      if (const JsonNode* prefix = node->find("prefixItems"); prefix != nullptr) {
        if (!prefix->is(Kind::kArray)) return want("prefixItems", "an array", *prefix);
        part.prefix = prefix->items;
      }
      if (part.rest != nullptr && part.rest->is(Kind::kArray)) {  // as until draft 2019-09
        part.prefix = part.rest->items;
        part.rest = node->find("additionalItems");
      }
      prefix_max = std::max(prefix_max, part.prefix.size());
      sets_.effort().work(4 * static_cast<int64_t>(part.prefix.size()));
      parts.push_back(std::move(part));
    }
    shape_.prefix.resize(prefix_max);
    for (const Part& part : parts) {
      sets_.effort().spend(static_cast<int64_t>(prefix_max) / 8);  // states of 64 bytes
      SIS_TRY(sets_.effort().status());
      for (size_t i = 0; i < prefix_max; ++i) {
        if (i < part.prefix.size())
          shape_.prefix[i].push_back(part.prefix[i]);
        else if (part.rest != nullptr)
          shape_.prefix[i].push_back(part.rest);
      }
      if (part.rest != nullptr) shape_.items.push_back(part.rest);
    }
    return {};
  }

  // --- objects ---

  Status join_objects() {
    SIS_TRY(declare_properties());
    SIS_TRY(read_required());
    SIS_TRY(read_other_properties());
    // Each property's schemas: those that its name has in each node.
    for (SchemaShape::Property& property : shape_.properties) {
      for (const JsonNode* node : set_) {
        node_ = node;
        sets_.effort().work(16);
        SIS_TRY(sets_.effort().status());
        const auto& own = declared_[node];
        const auto found = own.find(property.name);
        bool is_known = found != own.end();
        if (is_known) property.schemas.push_back(found->second);
        if (const JsonNode* patterns = node->find("patternProperties"); patterns != nullptr) {
          for (const auto& [pattern, schema] : patterns->members) {
            SIS_ASSIGN(Regex regex, parse_names(pattern));
            StringRules rules;
            rules.patterns.push_back(std::move(regex));
            SIS_ASSIGN(const bool is_match, matches(rules, property.name, sets_.effort()));
            if (!is_match) continue;
            is_known = true;
            property.schemas.push_back(schema);
          }
        }
        if (const JsonNode* others = node->find("additionalProperties");
            !is_known && others != nullptr)
          property.schemas.push_back(others);
      }
      sets_.effort().spend(static_cast<int64_t>(property.schemas.size()) / 8);
    }
    return {};
  }

  Status declare_properties() {
    for (const JsonNode* node : set_) {
      node_ = node;
      const JsonNode* properties = node->find("properties");
      if (properties == nullptr) continue;
      if (!properties->is(Kind::kObject)) return want("properties", "an object", *properties);
      sets_.effort().work(16 * static_cast<int64_t>(properties->members.size()));
      for (const auto& [name, schema] : properties->members) {
        declared_[node].try_emplace(name, schema);
        declare(name);
      }
    }
    return {};
  }
  // `name` is the tree's, which outlives this.
  SchemaShape::Property& declare(const std::string& name) {
    const auto [at, is_new] = shape_.property_index.try_emplace(name, shape_.properties.size());
    if (is_new) shape_.properties.push_back({.name = name});
    return shape_.properties[at->second];
  }

  Status read_required() {
    for (const JsonNode* node : set_) {
      node_ = node;
      const JsonNode* required = node->find("required");
      if (required == nullptr) continue;
      if (required->is(Kind::kBool)) continue;  // draft 3, in a property
      if (!required->is(Kind::kArray)) return want("required", "an array", *required);
      sets_.effort().work(16 * static_cast<int64_t>(required->items.size()));
      for (const JsonNode* name : required->items) {
        if (!name->is(Kind::kString)) return want("required", "an array of strings", *name);
        declare(name->text).required = true;
      }
    }
    return {};
  }

  Result<Regex> parse_names(const std::string& pattern) const {
    auto regex = parse_regex(pattern, RegexUse::kSearch);
    if (!regex) return wrong("patternProperties", regex.error().message);
    return std::move(*regex);
  }

  // Those that are not declared. Where nothing is said of them: any, if none is declared, else
  // none.
  Status read_other_properties() {
    bool is_open = false;
    std::vector<const JsonNode*> theirs;  // of each pattern, the node that has it
    for (const JsonNode* node : set_) {
      node_ = node;
      if (const JsonNode* names = node->find("propertyNames"); names != nullptr)
        shape_.names.push_back(names);
      const JsonNode* others = node->find("additionalProperties");
      if (others != nullptr) {
        if (!others->is(Kind::kBool) && !others->is(Kind::kObject))
          return want("additionalProperties", "a schema", *others);
        if (others->is(Kind::kBool) && !others->boolean)
          shape_.is_closed = true;
        else
          is_open = true;
        shape_.additional.push_back(others);
      }
      const JsonNode* patterns = node->find("patternProperties");
      if (patterns == nullptr) continue;
      if (!patterns->is(Kind::kObject)) return want("patternProperties", "an object", *patterns);
      if (patterns->members.size() + shape_.patterns.size() > 1)
        SIS_TRY(unsupported("patternProperties", "more than one pattern is not supported"));
      if (others != nullptr && !(others->is(Kind::kBool) && !others->boolean))
        SIS_TRY(unsupported("patternProperties",
                            "is not supported beside additionalProperties other than false"));
      for (const auto& [pattern, schema] : patterns->members) {
        SIS_ASSIGN(Regex regex, parse_names(pattern));
        shape_.patterns.push_back({.names = std::move(regex), .schemas = {schema}});
        theirs.push_back(node);
      }
    }
    // To the other nodes such a property is one that they do not know.
    for (size_t i = 0; i < shape_.patterns.size(); ++i) {
      for (const JsonNode* node : set_) {
        const JsonNode* others = node->find("additionalProperties");
        if (node != theirs[i] && others != nullptr) shape_.patterns[i].schemas.push_back(others);
      }
      sets_.effort().spend(static_cast<int64_t>(set_.size()) / 8);
      SIS_TRY(sets_.effort().status());
    }
    shape_.has_additional =
        !shape_.is_closed && (is_open || (shape_.properties.empty() && shape_.patterns.empty()));
    // An open object that has patterns as well would need names that match none of them; those that
    // may match stay out.
    if (!shape_.patterns.empty()) shape_.has_additional = false;
    const bool has_others = shape_.has_additional || !shape_.patterns.empty();
    size_t required = 0;
    for (const auto& property : shape_.properties) required += property.required ? 1 : 0;
    const bool is_map = shape_.properties.empty() && has_others;
    if (is_map && shape_.properties_min > 1)
      SIS_TRY(unsupported_somewhere(
          "minProperties", "above 1 is not supported where keys are free: one may come twice"));
    if (!is_map && shape_.properties_min > std::max<size_t>(required, 1))
      SIS_TRY(
          unsupported_somewhere("minProperties", "is not supported beside declared properties"));
    if (!is_map && (has_others || shape_.properties_max < shape_.properties.size()) &&
        shape_.properties_max != kUnbounded)
      SIS_TRY(
          unsupported_somewhere("maxProperties", "is not supported beside declared properties"));
    return {};
  }

  SchemaSets& sets_;
  const SchemaSet& set_;
  const JsonNode* node_ = nullptr;
  SchemaShape shape_;
  uint8_t spoken_of_ = 0;
  std::unordered_map<const JsonNode*, std::unordered_map<std::string_view, const JsonNode*>>
      declared_;
};

}  // namespace

Result<SchemaShape> shape_of(SchemaSets& sets, const SchemaSet& set) {
  return ShapeReader(sets, set).read();
}

}  // namespace sis::text::grammar
