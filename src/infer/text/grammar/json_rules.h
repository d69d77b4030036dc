// The rules of JSON itself, made as they are wanted, and the white space of our output.
#pragma once

#include <optional>

#include "infer/text/grammar/automaton.h"
#include "infer/text/grammar/json_tree.h"

namespace sis::text::grammar {

class JsonRules {
 public:
  // `line_breaks` as in JsonSchemaOptions.
  JsonRules(AutomatonBuilder& builder, bool line_breaks)
      : builder_(builder), line_breaks_(line_breaks) {}

  RuleId value();
  RuleId object();
  RuleId array();
  RuleId string();
  RuleId number();
  RuleId integer();
  RuleId boolean();
  RuleId null();
  RuleId character();  // one of a string

  // ':' or ',' and what may stand behind it.
  void colon(StateId from, StateId to);
  void comma(StateId from, StateId to);
  // What may stand behind a bracket that opens and before one that closes.
  void bracket_space(StateId from, StateId to);
  // This very value.
  void constant(StateId from, const JsonNode& value, StateId to);

 private:
  RuleId line_break();
  RuleId make_collection(std::string name, char open, RuleId element, char close);
  void digits(StateId from, uint32_t min, uint32_t max, StateId to);

  AutomatonBuilder& builder_;
  const bool line_breaks_;
  std::optional<RuleId> value_, object_, array_, string_, number_, integer_, boolean_, null_,
      character_, line_break_, digit_;
};

}  // namespace sis::text::grammar
