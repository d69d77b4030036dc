// Template text to tokens: delimiters, white space control, raw blocks and comments are dealt with
// here, so that the parser sees text that is already trimmed.
//
// Blocks on lines of their own leave no trace (trim_blocks and lstrip_blocks), as chat templates
// expect. Throws Fault.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "infer/text/chat_template/value.h"

namespace sis::text::tmpl {

enum class TokenType : uint8_t {
  kData,           // text between tags
  kVariableBegin,  // {{
  kVariableEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEof,
};

struct Token {
  TokenType type = TokenType::kEof;
  uint32_t line = 1;
  std::string text;  // what it says: the data, name, string's content or operator
  Value number;      // of kInteger and kFloat

  bool is(std::string_view op) const { return type == TokenType::kOperator && text == op; }
  bool is_name(std::string_view name) const { return type == TokenType::kName && text == name; }
};

// The last token is a kEof.
std::vector<Token> tokenize(std::string_view source, size_t tokens_max);

// "end of print statement", for messages.
std::string describe(const Token& token);

}  // namespace sis::text::tmpl
