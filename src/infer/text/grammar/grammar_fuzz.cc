// Any bytes as a schema, pattern or GBNF: compiling ends in a grammar or an error, and along a
// short walk masks and accept() agree. The first byte chooses the kind and the walk.
#include <cstdlib>

#include "infer/text/grammar/compile.h"

namespace {

using namespace sis::text;

std::shared_ptr<const GrammarVocabulary> make_vocabulary() {
  std::vector<GrammarVocabulary::Token> tokens;
  for (int byte = 0; byte < 256; ++byte)
    tokens.push_back({.bytes = std::string(1, static_cast<char>(byte))});
  for (const char* text :
       {"{\"", "\": ", "\", \"", "\"}", "true", "null", "12", "\\u00", "ab", "\xC3\xA9"})
    tokens.push_back({.bytes = text});
  tokens.push_back({.bytes = "<|end|>", .is_control = true});
  auto made =
      GrammarVocabulary::create(tokens, {.eos_tokens = {static_cast<int32_t>(tokens.size()) - 1}});
  if (!made) std::abort();
  return *made;
}

void walk(const Grammar& grammar, const GrammarVocabulary& vocabulary, uint32_t choice) {
  const auto matcher = grammar.start();
  std::vector<uint64_t> words(vocabulary.mask_words());
  for (int step = 0; step < 16; ++step) {
    matcher->mask(words);
    std::vector<int32_t> allowed;
    for (int32_t id = 0; id < vocabulary.vocab_size(); ++id) {
      const bool is_set = (words[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0;
      if (is_set) allowed.push_back(id);
      // A mask may leave out tokens of grammars too costly to follow, but never has too many.
      if (is_set && !matcher->clone()->accept(id)) std::abort();
    }
    if (allowed.empty()) return;
    choice = choice * 1664525 + 1013904223;
    const int32_t token = allowed[(choice >> 8) % allowed.size()];
    if (vocabulary.is_eos(token) != (vocabulary.is_eos(token) && matcher->complete())) std::abort();
    if (vocabulary.is_eos(token)) return;
    if (!matcher->accept(token)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto vocabulary = make_vocabulary();
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  GrammarSource source = GrammarSource::json_schema(
      text, {.strict = (data[0] & 4) != 0, .line_breaks = (data[0] & 8) != 0});
  if (data[0] % 4 == 1) source = GrammarSource::regex(text);
  if (data[0] % 4 == 2) source = GrammarSource::ebnf(text);
  if (data[0] % 4 == 3)
    source = GrammarSource::sequence(
        {GrammarSource::any_text_until(text), GrammarSource::json_object(),
         GrammarSource::any_text_without(text), GrammarSource::literal(text)});
  const auto grammar =
      compile(source, vocabulary,
              {.time = std::chrono::milliseconds(500), .states = 20'000, .cache_bytes = 1 << 20});
  if (grammar)
    walk(**grammar, *vocabulary, data[0]);
  else if (grammar.error().code != sis::Code::kInvalidArgument || grammar.error().message.empty())
    std::abort();
  return 0;
}
