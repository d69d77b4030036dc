#include "infer/text/grammar/schema.h"

#include <algorithm>
#include <deque>
#include <map>

#include "infer/text/grammar/char_set.h"
#include "infer/text/grammar/json_rules.h"
#include "infer/text/grammar/json_tree.h"
#include "infer/text/grammar/number_range.h"
#include "infer/text/grammar/schema_set.h"
#include "infer/text/grammar/schema_shape.h"

namespace sis::text::grammar {
namespace {

// Sets of schemas become rules, once each, so that schemas may refer to themselves.
class SchemaWriter {
 public:
  SchemaWriter(AutomatonBuilder& builder, SchemaSets& sets, const JsonSchemaOptions& options)
      : builder_(builder), sets_(sets), json_(builder, options.line_breaks) {}

  Result<RuleId> write(const JsonNode& root) {
    const RuleId rule = rule_of({&root});
    while (!to_write_.empty()) {
      const auto [set, id] = std::move(to_write_.front());
      to_write_.pop_front();
      SIS_ASSIGN(const auto alternatives, sets_.alternatives(set));
      for (const SchemaSet& one : alternatives) {
        SIS_ASSIGN(const SchemaShape shape, shape_of(sets_, one));
        // What fails below has no place of its own.
        if (auto written = write_shape(shape, builder_.rule(id).start, builder_.rule(id).end);
            !written) {
          Error error = std::move(written).error();
          const bool is_budget = error.message.starts_with("grammar:");
          if (error.param.empty() && !is_budget && !one.empty())
            return sets_.wrong(*one.front(), "", error.message);
          return error;
        }
      }
      SIS_TRY(builder_.effort().status());
    }
    return rule;
  }

 private:
  // Any value for the empty set.
  RuleId rule_of(const SchemaSet& set) {
    SchemaSet wanted;
    for (const JsonNode* node : set)
      if (!is_true(*node) && std::find(wanted.begin(), wanted.end(), node) == wanted.end())
        wanted.push_back(node);
    if (wanted.empty()) return json_.value();
    SchemaSet key = wanted;
    std::sort(key.begin(), key.end());
    const auto [at, is_new] = rules_.try_emplace(std::move(key), 0);
    if (is_new) {
      at->second = builder_.add_rule(sets_.path_of(*wanted.front()));
      to_write_.emplace_back(std::move(wanted), at->second);
    }
    return at->second;
  }
  static bool is_true(const JsonNode& schema) {
    return (schema.is(JsonNode::Kind::kBool) && schema.boolean) ||
           (schema.is(JsonNode::Kind::kObject) && schema.members.empty());
  }

  Status write_shape(const SchemaShape& shape, StateId from, StateId to) {
    if (shape.values) return write_values(shape, from, to);
    if (shape.types == kAllTypes) {
      builder_.call(from, json_.value(), to);
      return {};
    }
    if ((shape.types & kNullType) != 0) builder_.call(from, json_.null(), to);
    if ((shape.types & kBoolType) != 0) builder_.call(from, json_.boolean(), to);
    if ((shape.types & (kNumberType | kIntegerType)) != 0) {
      NumberRange range = shape.numbers;
      range.whole = (shape.types & kNumberType) == 0;
      if (range.is_bounded())
        add_number(builder_, from, range, to);
      else
        builder_.call(from, range.whole ? json_.integer() : json_.number(), to);
    }
    if ((shape.types & kStringType) != 0) SIS_TRY(write_string(shape.strings, from, to));
    if ((shape.types & kArrayType) != 0) write_array(shape, from, to);
    if ((shape.types & kObjectType) != 0) SIS_TRY(write_object(shape, from, to));
    return {};
  }

  Status write_values(const SchemaShape& shape, StateId from, StateId to) {
    std::vector<std::string> scalars;
    for (const JsonNode* value : *shape.values) {
      SIS_ASSIGN(const bool is_accepted, accepts(sets_, shape, *value));
      if (!is_accepted) continue;
      switch (value->kind) {
        case JsonNode::Kind::kString:
          scalars.push_back("\"" + json_escaped(value->text) + "\"");
          break;
        case JsonNode::Kind::kNumber:
          scalars.push_back(value->text);
          break;
        case JsonNode::Kind::kBool:
          scalars.emplace_back(value->boolean ? "true" : "false");
          break;
        case JsonNode::Kind::kNull:
          scalars.emplace_back("null");
          break;
        case JsonNode::Kind::kArray:
        case JsonNode::Kind::kObject:
          json_.constant(from, *value, to);
          break;
      }
    }
    if (!scalars.empty()) builder_.literals(from, std::move(scalars), to);
    return {};
  }

  Status write_string(const StringRules& rules, StateId from, StateId to) {
    if (rules.is_any()) {
      builder_.call(from, json_.string(), to);
      return {};
    }
    if (rules.length_min > rules.length_max) return {};
    if (!rules.is_plain()) {
      SIS_ASSIGN(const RuleId rule, string_rule(rules));
      builder_.call(from, rule, to);
      return {};
    }
    const StateId open = builder_.add_state(), close = builder_.add_state();
    builder_.bytes(from, '"', '"', open);
    builder_.bytes(close, '"', '"', to);
    builder_.call(open, builder_.add_repeat(json_.character(), rules.length_min, rules.length_max),
                  close);
    return {};
  }

  // A schema may have many strings of one kind, and those beyond is_plain() are dear.
  Result<RuleId> string_rule(const StringRules& rules) {
    for (const auto& [known, rule] : strings_)
      if (known == rules) return rule;
    const RuleId rule = builder_.add_rule("string");
    const StateId open = builder_.add_state(), close = builder_.add_state();
    builder_.bytes(builder_.rule(rule).start, '"', '"', open);
    builder_.bytes(close, '"', '"', builder_.rule(rule).end);
    SIS_TRY(add_string_content(builder_, open, rules, close));
    if (strings_.size() < kStringsKept) strings_.emplace_back(rules, rule);
    return rule;
  }

  void write_array(const SchemaShape& shape, StateId from, StateId to) {
    const uint32_t min = shape.items_min, max = shape.items_max;
    if (min > max) return;
    const StateId open = builder_.add_state(), close = builder_.add_state();
    builder_.bytes(from, '[', '[', open);
    builder_.bytes(close, ']', ']', to);
    if (min == 0) builder_.empty(open, close);
    if (max == 0) return;
    const StateId before_close = builder_.add_state();
    json_.bracket_space(before_close, close);

    StateId element = builder_.add_state();
    json_.bracket_space(open, element);
    // The elements that have places of their own, or else the first.
    const auto fixed = static_cast<uint32_t>(std::max<size_t>(shape.prefix.size(), 1));
    for (uint32_t i = 0; i < fixed && i < max; ++i) {
      const StateId behind = builder_.add_state();
      const SchemaSet& set = i < shape.prefix.size() ? shape.prefix[i] : shape.items;
      builder_.call(element, rule_of(set), behind);
      if (i + 1 >= min) builder_.empty(behind, before_close);
      if (i + 1 >= max) return;
      if (i + 1 < fixed) {
        element = builder_.add_state();
        json_.comma(behind, element);
        continue;
      }
      const RuleId next = builder_.add_rule("next element");
      const StateId at_value = builder_.add_state();
      json_.comma(builder_.rule(next).start, at_value);
      builder_.call(at_value, rule_of(shape.items), builder_.rule(next).end);
      const uint32_t rest_min = min > fixed ? min - fixed : 0;
      const uint32_t rest_max = max == kUnbounded ? kUnbounded : max - fixed;
      builder_.call(behind, builder_.add_repeat(next, rest_min, rest_max), before_close);
    }
  }

  // "name": value, of properties that are not declared. One after another they are repeated.
  Result<RuleId> member_rule(const SchemaShape& shape) {
    const RuleId rule = builder_.add_rule("other property");
    const StateId start = builder_.rule(rule).start, end = builder_.rule(rule).end;
    StringRules names;
    for (const auto& property : shape.properties) names.forbidden.push_back(property.name);
    const auto add_value = [&](StateId behind_name, const SchemaSet& schemas) {
      const StateId at_value = builder_.add_state();
      json_.colon(behind_name, at_value);
      builder_.call(at_value, rule_of(schemas), end);
    };
    if (shape.has_additional) {
      const StateId behind_name = builder_.add_state();
      SIS_TRY(write_names(shape.names, names, start, behind_name));
      add_value(behind_name, shape.additional);
    }
    for (const auto& pattern : shape.patterns) {
      StringRules matching = names;
      matching.patterns.push_back(pattern.names);
      const StateId behind_name = builder_.add_state();
      SIS_TRY(write_names(shape.names, matching, start, behind_name));
      add_value(behind_name, pattern.schemas);
    }
    return rule;
  }
  // Strings that `names` accepts and `rules`, which have no length, hold for.
  Status write_names(const SchemaSet& names, const StringRules& rules, StateId from, StateId to) {
    SIS_ASSIGN(const auto alternatives, sets_.alternatives(names));
    for (const SchemaSet& one : alternatives) {
      SIS_ASSIGN(SchemaShape shape, shape_of(sets_, one));
      shape.types = shape.types_declared &= kStringType;
      shape.strings.forbidden = rules.forbidden;
      shape.strings.patterns.insert(shape.strings.patterns.end(), rules.patterns.begin(),
                                    rules.patterns.end());
      SIS_TRY(write_shape(shape, from, to));
    }
    return {};
  }

  // Declared properties in their order; those that are not required may be left out. The others
  // come last.
  Status write_object(const SchemaShape& shape, StateId from, StateId to) {
    if (shape.properties_min > shape.properties_max) return {};
    std::vector<const SchemaShape::Property*> properties;
    for (const SchemaShape::Property& property : shape.properties) {
      SIS_ASSIGN(const bool is_accepted, accepts_name(sets_, shape, property.name));
      if (is_accepted)
        properties.push_back(&property);
      else if (property.required)
        return {};
    }
    const StateId open = builder_.add_state(), close = builder_.add_state();
    builder_.bytes(from, '{', '{', open);
    builder_.bytes(close, '}', '}', to);
    const StateId first = builder_.add_state(), before_close = builder_.add_state();
    json_.bracket_space(open, first);
    json_.bracket_space(before_close, close);

    const bool has_others = shape.has_additional || !shape.patterns.empty();
    std::optional<RuleId> other;
    if (has_others) {
      SIS_ASSIGN(other, member_rule(shape));
    }
    if (properties.empty()) {
      if (shape.properties_min == 0) builder_.empty(open, close);
      if (!has_others || shape.properties_max == 0) return {};
      const StateId behind = builder_.add_state();
      builder_.call(first, *other, behind);
      const uint32_t max = shape.properties_max;
      builder_.call(behind,
                    builder_.add_repeat(comma_and(*other), std::max(shape.properties_min, 1u) - 1,
                                        max == kUnbounded ? max : max - 1),
                    before_close);
      return {};
    }

    // want[i]: a property comes next, the i-th or a later one. done[i]: the last one that came
    // stands before the i-th.
    const size_t count = properties.size();
    std::vector<StateId> want{first}, done{0};
    for (size_t i = 0; i < count; ++i) {
      want.push_back(builder_.add_state());
      done.push_back(builder_.add_state());
    }
    size_t required_end = 0;
    for (size_t i = 0; i < count; ++i) {
      const SchemaShape::Property& property = *properties[i];
      const StateId behind_name = builder_.add_state(), at_value = builder_.add_state();
      builder_.literal(want[i], "\"" + json_escaped(property.name) + "\"", behind_name);
      json_.colon(behind_name, at_value);
      builder_.call(at_value, rule_of(property.schemas), done[i + 1]);
      if (property.required)
        required_end = i + 1;
      else
        builder_.empty(want[i], want[i + 1]);
    }
    if (other) builder_.call(want[count], *other, done[count]);
    for (size_t i = 1; i <= count; ++i) {
      json_.comma(done[i], want[i]);
      if (i >= required_end) builder_.empty(done[i], before_close);
    }
    if (required_end == 0 && shape.properties_min == 0) builder_.empty(open, close);
    return {};
  }

  RuleId comma_and(RuleId member) {
    const RuleId rule = builder_.add_rule("next property");
    const StateId at_member = builder_.add_state();
    json_.comma(builder_.rule(rule).start, at_member);
    builder_.call(at_member, member, builder_.rule(rule).end);
    return rule;
  }

  AutomatonBuilder& builder_;
  SchemaSets& sets_;
  JsonRules json_;
  static constexpr size_t kStringsKept = 32;  // each is compared with new ones
  std::vector<std::pair<StringRules, RuleId>> strings_;
  std::map<SchemaSet, RuleId> rules_;
  std::deque<std::pair<SchemaSet, RuleId>> to_write_;
};

}  // namespace

Result<RuleId> add_json_schema(AutomatonBuilder& builder, std::string_view schema,
                               const JsonSchemaOptions& options) {
  SIS_ASSIGN(const JsonTree tree, JsonTree::parse(schema, options.path));
  SchemaSets sets(tree.root(), options.path, options.strict, builder.effort());
  return SchemaWriter(builder, sets, options).write(tree.root());
}

}  // namespace sis::text::grammar
