// Regular expressions of tokenizer.json, run by PCRE2 with its JIT.
//
// The library's are Oniguruma's; translate() rewrites what means something else to PCRE2. Const
// after compile(); any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sis::text::tok {

class Regex {
 public:
  struct Match {
    size_t begin = 0, end = 0;
  };

  static Result<Regex> compile(std::string_view pattern);
  // A pattern that matches exactly `text`.
  static Result<Regex> literal(std::string_view text);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // First match at or after `from`. A search that runs into PCRE2's limits counts as no match.
  bool search(std::string_view text, size_t from, Match& match) const;

  // fn(Match) for every match from left to right. An empty match right after another is passed
  // over.
  template <class Fn>
  void for_each_match(std::string_view text, Fn&& fn) const;

 private:
  struct Code;
  explicit Regex(std::unique_ptr<Code> code);

  std::unique_ptr<Code> code_;
};

template <class Fn>
void Regex::for_each_match(std::string_view text, Fn&& fn) const {
  size_t from = 0, last_end = static_cast<size_t>(-1);
  Match match;
  while (from <= text.size() && search(text, from, match)) {
    if (match.begin == match.end && match.end == last_end) {
      ++from;
      while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) ++from;
      continue;
    }
    from = last_end = match.end;
    fn(match);
  }
}

}  // namespace sis::text::tok
