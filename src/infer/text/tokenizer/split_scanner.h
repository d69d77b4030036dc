// Hand-written matchers for the split expressions of well-known tokenizers.
//
// A regular expression costs some 50 ns a match; these take a few per character. Each gives exactly
// the matches of its expression (split_scanner_test.cc compares with PCRE2), one after another
// without gaps, since these expressions match every character. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace sis::text::tok {

enum class KnownSplit : uint8_t {
  kGpt2,       // contractions, words, numbers, the rest, each with the space before it
  kCl100k,     // GPT-4, Llama 3: up to three digits
  kQwen2,      // the same with single digits
  kQwenMarks,  // the same with marks as part of words
  kO200k,      // GPT-4o, Llama 4: cuts before capitals, contractions stay with their word
};

// The expression's exact text.
std::string_view split_expression(KnownSplit kind);
std::optional<KnownSplit> known_split(std::string_view expression);

// Where each match in `text` ends, appended to `ends`.
void scan_splits(KnownSplit kind, std::string_view text, std::vector<uint32_t>& ends);

}  // namespace sis::text::tok
