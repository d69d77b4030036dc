// What Replace and Split look for: {"String": "..."} or {"Regex": "..."}.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "infer/text/tokenizer/json.h"
#include "infer/text/tokenizer/regex.h"
#include "infer/text/tokenizer/split_scanner.h"

namespace sis::text::tok {

class Pattern {
 public:
  static Result<Pattern> from(const JsonObject& config, std::string_view key);

  // Empty when it is an expression.
  std::string_view literal() const { return regex_ ? std::string_view() : literal_; }
  // Set when the expression is one with a scanner of its own.
  std::optional<KnownSplit> known() const { return known_; }

  // fn(Regex::Match) for every match from left to right.
  template <class Fn>
  void for_each_match(std::string_view text, Fn&& fn) const {
    if (regex_) {
      regex_->for_each_match(text, fn);
      return;
    }
    for (size_t at = text.find(literal_); at != std::string_view::npos;
         at = text.find(literal_, at + literal_.size()))
      fn(Regex::Match{at, at + literal_.size()});
  }

 private:
  std::string literal_;  // not empty when there is no regex
  std::optional<Regex> regex_;
  std::optional<KnownSplit> known_;
};

}  // namespace sis::text::tok
