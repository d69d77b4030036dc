// What the tests of this folder share: small vocabularies, whole texts, random walks.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "infer/text/grammar/compile.h"

namespace sis::text {

// Every byte, some longer tokens (ids from 256), and at the end the control tokens <|call|> and
// <|end|>, which ends texts.
inline std::shared_ptr<const GrammarVocabulary> test_vocabulary() {
  static const auto made = [] {
    std::vector<GrammarVocabulary::Token> tokens;
    for (int byte = 0; byte < 256; ++byte)
      tokens.push_back({.bytes = std::string(1, static_cast<char>(byte))});
    for (const char* text : {"{\"",
                             "\":",
                             "\": ",
                             "\"",
                             "\",",
                             "\", \"",
                             "\"}",
                             "\"]",
                             "},",
                             "}]",
                             "]}",
                             "[[",
                             "[]",
                             "{}",
                             ", ",
                             "true",
                             "false",
                             "null",
                             "12",
                             "100",
                             "-1",
                             "0.5",
                             "e1",
                             "name",
                             "\"name",
                             "ame\":",
                             "abc",
                             "ab",
                             "a",
                             " the",
                             "\\\"",
                             "\\n",
                             "\\u",
                             "00",
                             "\n  ",
                             "\xC3\xA9",
                             "\xC3",
                             "\xA9\"",
                             "\xE4\xB8",
                             "\xF0\x9F\x98\x80",
                             "a\"",
                             "b\": [",
                             "hello world",
                             "<tool",
                             "_call>",
                             "2024-",
                             "::",
                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                             "\xE4\xBD\xA0\xE5\xA5\xBD",
                             "x\ny",
                             "\t"})
      tokens.push_back({.bytes = text});
    tokens.push_back({.bytes = "<|call|>", .is_control = true});
    tokens.push_back({.bytes = "<|end|>", .is_control = true});
    const auto end = static_cast<int32_t>(tokens.size()) - 1;
    auto vocabulary = GrammarVocabulary::create(tokens, {.eos_tokens = {end}});
    EXPECT_TRUE(vocabulary.ok());
    return *vocabulary;
  }();
  return made;
}

inline std::shared_ptr<const Grammar> compiled(const GrammarSource& source) {
  // Sanitizers take ten times as long; how long it takes otherwise is the benchmark's.
  auto made = compile(source, test_vocabulary(), {.time = from_seconds(60)});
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
  return made.ok() ? *made : nullptr;
}
inline std::shared_ptr<const Grammar> schema_grammar(std::string schema,
                                                     JsonSchemaOptions options = {}) {
  return compiled(GrammarSource::json_schema(std::move(schema), std::move(options)));
}
inline Error compile_error(const GrammarSource& source) {
  auto made = compile(source, test_vocabulary());
  EXPECT_FALSE(made.ok());
  return made.ok() ? Error{} : made.error();
}

// Whether `text` is a whole sentence.
inline bool takes(const Grammar& grammar, std::string_view text) {
  const auto matcher = grammar.start();
  return accept_text(*matcher, text) && matcher->complete();
}
// Whether a sentence may begin so.
inline bool begins(const Grammar& grammar, std::string_view text) {
  return accept_text(*grammar.start(), text);
}

inline void expect_texts(const std::shared_ptr<const Grammar>& grammar,
                         const std::vector<std::string>& good,
                         const std::vector<std::string>& bad) {
  ASSERT_NE(grammar, nullptr);
  for (const std::string& text : good) EXPECT_TRUE(takes(*grammar, text)) << text;
  for (const std::string& text : bad) EXPECT_FALSE(takes(*grammar, text)) << text;
}

inline std::vector<int32_t> allowed_tokens(GrammarMatcher& matcher,
                                           const GrammarVocabulary& vocabulary) {
  std::vector<uint64_t> words(vocabulary.mask_words());
  matcher.mask(words);
  std::vector<int32_t> out;
  for (int32_t id = 0; id < vocabulary.vocab_size(); ++id)
    if ((words[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0) out.push_back(id);
  return out;
}

}  // namespace sis::text
