#include "infer/text/grammar/json_rules.h"

#include "infer/text/grammar/char_set.h"
#include "infer/text/grammar/number_range.h"

namespace sis::text::grammar {
namespace {

constexpr uint32_t kIndentMax = 32;

uint8_t byte(char c) { return static_cast<uint8_t>(c); }

}  // namespace

RuleId JsonRules::character() {
  if (!character_) character_ = add_json_char_rule(builder_);
  return *character_;
}

RuleId JsonRules::string() {
  if (string_) return *string_;
  const RuleId rule = *(string_ = builder_.add_rule("string"));
  const StateId open = builder_.add_state(), close = builder_.add_state();
  builder_.bytes(builder_.rule(rule).start, '"', '"', open);
  builder_.call(open, builder_.add_repeat(character(), 0, kUnbounded), close);
  builder_.bytes(close, '"', '"', builder_.rule(rule).end);
  return rule;
}

void JsonRules::digits(StateId from, uint32_t min, uint32_t max, StateId to) {
  if (!digit_) {
    digit_ = builder_.add_rule("digit");
    builder_.bytes(builder_.rule(*digit_).start, '0', '9', builder_.rule(*digit_).end);
  }
  builder_.call(from, builder_.add_repeat(*digit_, min, max), to);
}

RuleId JsonRules::integer() {
  if (integer_) return *integer_;
  const RuleId rule = *(integer_ = builder_.add_rule("integer"));
  const StateId start = builder_.rule(rule).start, end = builder_.rule(rule).end;
  const StateId unsigned_start = builder_.add_state(), behind_first = builder_.add_state();
  builder_.empty(start, unsigned_start);
  builder_.bytes(start, '-', '-', unsigned_start);
  builder_.bytes(unsigned_start, '0', '0', end);
  builder_.bytes(unsigned_start, '1', '9', behind_first);
  digits(behind_first, 0, kWholeDigitsMax - 1, end);
  return rule;
}

RuleId JsonRules::number() {
  if (number_) return *number_;
  const RuleId rule = *(number_ = builder_.add_rule("number"));
  const StateId start = builder_.rule(rule).start, end = builder_.rule(rule).end;
  const StateId behind_whole = builder_.add_state(), behind_point = builder_.add_state(),
                behind_fraction = builder_.add_state(), sign = builder_.add_state(),
                exponent = builder_.add_state();
  builder_.call(start, integer(), behind_whole);
  builder_.empty(behind_whole, behind_fraction);
  builder_.bytes(behind_whole, '.', '.', behind_point);
  digits(behind_point, 1, kFractionDigitsMax, behind_fraction);
  builder_.empty(behind_fraction, end);
  builder_.bytes(behind_fraction, 'e', 'e', sign);
  builder_.bytes(behind_fraction, 'E', 'E', sign);
  builder_.empty(sign, exponent);
  builder_.bytes(sign, '+', '+', exponent);
  builder_.bytes(sign, '-', '-', exponent);
  digits(exponent, 1, kExponentDigitsMax, end);
  return rule;
}

RuleId JsonRules::boolean() {
  if (boolean_) return *boolean_;
  const RuleId rule = *(boolean_ = builder_.add_rule("boolean"));
  builder_.literals(builder_.rule(rule).start, {"true", "false"}, builder_.rule(rule).end);
  return rule;
}

RuleId JsonRules::null() {
  if (null_) return *null_;
  const RuleId rule = *(null_ = builder_.add_rule("null"));
  builder_.literal(builder_.rule(rule).start, "null", builder_.rule(rule).end);
  return rule;
}

RuleId JsonRules::value() {
  if (value_) return *value_;
  const RuleId rule = *(value_ = builder_.add_rule("value"));
  for (const RuleId one : {object(), array(), string(), number(), boolean(), null()})
    builder_.call(builder_.rule(rule).start, one, builder_.rule(rule).end);
  return rule;
}

// Elements between brackets, with commas.
RuleId JsonRules::make_collection(std::string name, char open, RuleId element, char close) {
  const RuleId rule = builder_.add_rule(std::move(name));
  const StateId behind_open = builder_.add_state(), first = builder_.add_state(),
                behind_element = builder_.add_state(), last = builder_.add_state();
  builder_.bytes(builder_.rule(rule).start, byte(open), byte(open), behind_open);
  builder_.bytes(behind_open, byte(close), byte(close), builder_.rule(rule).end);
  bracket_space(behind_open, first);
  builder_.call(first, element, behind_element);
  comma(behind_element, first);
  bracket_space(behind_element, last);
  builder_.bytes(last, byte(close), byte(close), builder_.rule(rule).end);
  return rule;
}

RuleId JsonRules::object() {
  if (object_) return *object_;
  const RuleId member = builder_.add_rule("member");
  const RuleId rule = *(object_ = make_collection("object", '{', member, '}'));
  const StateId behind_key = builder_.add_state(), at_value = builder_.add_state();
  builder_.call(builder_.rule(member).start, string(), behind_key);
  colon(behind_key, at_value);
  builder_.call(at_value, value(), builder_.rule(member).end);
  return rule;
}

RuleId JsonRules::array() {
  if (array_) return *array_;
  const RuleId element = builder_.add_rule("element");
  const RuleId rule = *(array_ = make_collection("array", '[', element, ']'));
  builder_.call(builder_.rule(element).start, value(), builder_.rule(element).end);
  return rule;
}

RuleId JsonRules::line_break() {
  if (line_break_) return *line_break_;
  const RuleId space = builder_.add_rule("space");
  builder_.bytes(builder_.rule(space).start, ' ', ' ', builder_.rule(space).end);
  const RuleId rule = *(line_break_ = builder_.add_rule("line break"));
  const StateId indent = builder_.add_state();
  builder_.bytes(builder_.rule(rule).start, '\n', '\n', indent);
  builder_.call(indent, builder_.add_repeat(space, 0, kIndentMax), builder_.rule(rule).end);
  return rule;
}

void JsonRules::colon(StateId from, StateId to) {
  const StateId behind = builder_.add_state();
  builder_.bytes(from, ':', ':', behind);
  builder_.empty(behind, to);
  builder_.bytes(behind, ' ', ' ', to);
}

void JsonRules::comma(StateId from, StateId to) {
  const StateId behind = builder_.add_state();
  builder_.bytes(from, ',', ',', behind);
  builder_.empty(behind, to);
  builder_.bytes(behind, ' ', ' ', to);
  if (line_breaks_) builder_.call(behind, line_break(), to);
}

void JsonRules::bracket_space(StateId from, StateId to) {
  builder_.empty(from, to);
  if (line_breaks_) builder_.call(from, line_break(), to);
}

// As deep as JsonTree lets values be.
void JsonRules::constant(StateId from, const JsonNode& value, StateId to) {
  const auto collection = [&](char open, char close, size_t count, const auto& add_element) {
    StateId at = builder_.add_state();
    builder_.bytes(from, byte(open), byte(open), at);
    for (size_t i = 0; i < count; ++i) {
      const StateId element = builder_.add_state(), behind = builder_.add_state();
      if (i == 0)
        bracket_space(at, element);
      else
        comma(at, element);
      add_element(i, element, behind);
      at = behind;
    }
    if (count > 0) {
      const StateId last = builder_.add_state();
      bracket_space(at, last);
      at = last;
    }
    builder_.bytes(at, byte(close), byte(close), to);
  };
  switch (value.kind) {
    case JsonNode::Kind::kNull:
      return builder_.literal(from, "null", to);
    case JsonNode::Kind::kBool:
      return builder_.literal(from, value.boolean ? "true" : "false", to);
    case JsonNode::Kind::kNumber:
      return builder_.literal(from, value.text, to);
    case JsonNode::Kind::kString:
      return builder_.literal(from, "\"" + json_escaped(value.text) + "\"", to);
    case JsonNode::Kind::kArray:
      return collection('[', ']', value.items.size(), [&](size_t i, StateId at, StateId behind) {
        constant(at, *value.items[i], behind);
      });
    case JsonNode::Kind::kObject:
      return collection('{', '}', value.members.size(), [&](size_t i, StateId at, StateId behind) {
        const auto& [key, member] = value.members[i];
        const StateId behind_key = builder_.add_state(), at_value = builder_.add_state();
        builder_.literal(at, "\"" + json_escaped(key) + "\"", behind_key);
        colon(behind_key, at_value);
        constant(at_value, *member, behind);
      });
  }
}

}  // namespace sis::text::grammar
