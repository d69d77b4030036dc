// GBNF, the rules that llama.cpp reads:
//
//   root  ::= "yes" | "no" | list    # a comment
//   list  ::= "[" [0-9]+ (", " [0-9]+){0,9} "]"
//
// Texts in quotes and classes in brackets with the escapes \n \r \t \\ \" \[ \] \- \xHH \uHHHH
// \UHHHHHHHH, `.` for any character, groups, | and * + ? {m} {m,} {m,n}. A rule ends with its line,
// except inside a group or behind |.
#pragma once

#include <string_view>

#include "base/result.h"
#include "infer/text/grammar/automaton.h"

namespace sis::text::grammar {

// The rule named root. Errors name the line.
Result<RuleId> add_ebnf(AutomatonBuilder& builder, std::string_view rules);

}  // namespace sis::text::grammar
