// Compiles schemas from standard input and prints texts that their masks allow; a test program.
//
//   sample_lines <tokenizer.json>
//
// A line is {"kind": "json_schema" (or "regex", "ebnf"), "source": "...", "strict": false,
// "line_breaks": false, "samples": 5, "seed": 1, "check": ["text", ...]}. Printed: {"error": "...",
// "param": "..."} or {"samples": [text or null when it did not come to an end], "takes": [true,
// ...]}, `takes` for the texts to check.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "base/rng.h"
#include "infer/text/grammar/compile.h"

namespace {

using nlohmann::json;
using namespace sis::text;

constexpr int kTokensMax = 1500;
constexpr int kTokensWanted = 100;  // then texts go for their end

// How much a token brings the end nearer: 2 closes something, 1 is or begins the shortest value.
std::vector<int> closing_ranks(const GrammarVocabulary& vocabulary) {
  std::vector<int> out(static_cast<size_t>(vocabulary.vocab_size()));
  for (int32_t id = 0; id < vocabulary.vocab_size(); ++id) {
    const auto bytes = vocabulary.token_bytes(id);
    const char first = bytes.empty() ? ' ' : bytes[0];
    if (vocabulary.is_eos(id) || first == '"' || first == ']' || first == '}')
      out[static_cast<size_t>(id)] = 2;
    else if (first == 'n' || first == '0')
      out[static_cast<size_t>(id)] = 1;
  }
  return out;
}

json sample(const Grammar& grammar, const GrammarVocabulary& vocabulary, const Tokenizer& tokenizer,
            const std::vector<int>& closing, sis::Rng& rng) {
  const auto matcher = grammar.start();
  std::vector<uint64_t> words(vocabulary.mask_words());
  std::vector<int32_t> ids;
  std::string text;
  for (int step = 0; step < kTokensMax; ++step) {
    matcher->mask(words);
    std::vector<int32_t> allowed, ends, bytes;
    int rank = 1;  // of `ends`
    for (int32_t id = 0; id < vocabulary.vocab_size(); ++id) {
      if ((words[static_cast<size_t>(id) / 64] >> (id % 64) & 1) == 0) continue;
      allowed.push_back(id);
      if (vocabulary.token_bytes(id).size() == 1) bytes.push_back(id);
      const int ours = closing[static_cast<size_t>(id)];
      if (ours > rank) ends.clear();
      rank = std::max(rank, ours);
      if (ours == rank) ends.push_back(id);
    }
    if (allowed.empty()) return "<<no token is allowed behind " + text + ">>";
    // A pattern may want some rare character first, so single ones get their chance.
    const bool wants_end = step > kTokensWanted || rng.below(4) == 0;
    const std::vector<int32_t>* from = &allowed;
    if (wants_end && !ends.empty() && (rank == 2 || rng.below(4) == 0))
      from = &ends;
    else if (wants_end && !bytes.empty())
      from = &bytes;
    const int32_t id = (*from)[rng.below(from->size())];
    if (vocabulary.is_eos(id)) {
      if (!matcher->complete()) return "<<end allowed behind " + text + ">>";
      // The tokens' bytes are what decoding gives.
      if (tokenizer.decode(ids, /*skip_special_tokens=*/false) != text)
        return "<<bytes differ from the decoded text: " + text + ">>";
      return text;
    }
    if (!matcher->accept(id)) return "<<mask and accept differ behind " + text + ">>";
    ids.push_back(id);
    text += vocabulary.token_bytes(id);
  }
  return nullptr;
}

json answer(const json& line, const std::shared_ptr<const GrammarVocabulary>& vocabulary,
            const Tokenizer& tokenizer, const std::vector<int>& closing) {
  const std::string kind = line.value("kind", "json_schema");
  const std::string text = line.at("source");
  const GrammarSource source =
      kind == "regex" ? GrammarSource::regex(text)
      : kind == "ebnf"
          ? GrammarSource::ebnf(text)
          : GrammarSource::json_schema(text, {.strict = line.value("strict", false),
                                              .line_breaks = line.value("line_breaks", false)});
  const auto grammar = compile(source, vocabulary);
  if (!grammar) return {{"error", grammar.error().message}, {"param", grammar.error().param}};
  sis::Rng rng(line.value("seed", uint64_t{1}));
  json out{{"samples", json::array()}, {"takes", json::array()}};
  for (int i = 0; i < line.value("samples", 0); ++i)
    out["samples"].push_back(sample(**grammar, *vocabulary, tokenizer, closing, rng));
  for (const std::string check : line.value("check", json::array())) {
    const auto matcher = (*grammar)->start();
    out["takes"].push_back(accept_text(*matcher, check) && matcher->complete());
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: sample_lines <tokenizer.json>\n");
    return 2;
  }
  std::ifstream file(argv[1], std::ios::binary);
  const auto tokenizer = Tokenizer::from_json(
      std::string{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
  if (!tokenizer) {
    fmt::print(stderr, "sample_lines: {}\n", tokenizer.error().message);
    return 1;
  }
  GrammarVocabularyOptions options;
  for (const char* name : {"<|im_end|>", "<|endoftext|>"})
    if (const auto id = (*tokenizer)->token_to_id(name)) options.eos_tokens.push_back(*id);
  const auto vocabulary = GrammarVocabulary::create(**tokenizer, options);
  if (!vocabulary) {
    fmt::print(stderr, "sample_lines: {}\n", vocabulary.error().message);
    return 1;
  }
  const std::vector<int> closing = closing_ranks(**vocabulary);
  for (std::string line; std::getline(std::cin, line);) {
    const json asked = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!asked.is_object() || !asked.contains("source")) {
      fmt::print(stderr, "sample_lines: want an object with \"source\" on each line\n");
      return 1;
    }
    fmt::print("{}\n", answer(asked, *vocabulary, **tokenizer, closing)
                           .dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace));
  }
  return 0;
}
