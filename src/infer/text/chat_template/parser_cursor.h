// The parser's place among the tokens, and its errors.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "infer/text/chat_template/fault.h"
#include "infer/text/chat_template/lexer.h"

namespace sis::text::tmpl {

class TokenCursor {
 public:
  explicit TokenCursor(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& now() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  // The present token, which then lies behind. The last one (kEof) stays.
  const Token& next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  size_t position() const { return at_; }
  void go(size_t position) { at_ = position; }

  bool skip_if(std::string_view op) {
    if (!now().is(op)) return false;
    next();
    return true;
  }
  bool skip_name(std::string_view name) {
    if (!now().is_name(name)) return false;
    next();
    return true;
  }
  void expect(std::string_view op) {
    if (!skip_if(op)) unexpected(concat("'", op, "'"));
  }
  void expect(TokenType type, std::string_view what) {
    if (now().type != type) unexpected(what);
    next();
  }

  [[noreturn]] void unexpected(std::string_view wanted) const {
    fail_here(concat("expected ", wanted, ", got ", describe(now())));
  }
  [[noreturn]] void fail_here(std::string message) const {
    throw Fault{std::move(message), Code::kInvalidArgument, now().line};
  }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace sis::text::tmpl
