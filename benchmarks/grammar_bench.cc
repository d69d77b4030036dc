// Milliseconds to compile a grammar and microseconds to make a token mask.
//
//   grammar_bench [--smoke] [--tokens N] [--texts N] [--seed N] [tokenizer.json]
//
// Without a file a vocabulary of N tokens is made (151643, as Qwen has): single bytes, words with
// and without a space before them, Chinese, code, punctuation with quotes and line breaks, halves
// of characters. For each grammar, compiled afresh: texts grow token by token, each sampled from
// its mask (inside strings mostly words, now and then what closes them), and every mask is timed.
// "first text" is the first of a grammar, when nothing is known yet; "all" is all texts. Processor
// time of this thread, so that other work on the machine does not count.
#include <sys/utsname.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/rng.h"
#include "base/strings.h"
#include "infer/text/grammar/compile.h"

namespace {

using sis::Rng;
using sis::text::GrammarSource;
using sis::text::GrammarVocabulary;

struct Options {
  bool smoke = false;
  size_t tokens = 151'643;
  int texts = 40;
  uint64_t seed = 1;
  std::string file;
};

double cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

std::string word(Rng& rng) {
  constexpr std::string_view kSyllables[] = {
      "a",  "be", "con", "de", "er", "in", "ing", "ion", "is", "ment", "o",  "pre", "re", "s",
      "st", "te", "ti",  "u",  "ve", "al", "an",  "ar",  "ch", "ed",   "en", "es",  "ic", "le",
      "ly", "or", "ous", "ra", "ri", "ro", "th",  "un",  "k",  "m",    "n",  "l"};
  std::string out;
  for (uint64_t count = 1 + rng.below(4); count > 0; --count)
    out += kSyllables[rng.below(std::size(kSyllables))];
  return out;
}

std::string random_token(Rng& rng) {
  constexpr std::string_view kMarks[] = {"\"", "\"", ",",  ":",  "{",    "}",   "[", "]", "(",
                                         ")",  ";",  "\n", "\t", "\\",   "'",   ".", "=", " ",
                                         "  ", "/",  "<",  ">",  "\r\n", "\\n", "-", "_", "|"};
  const uint64_t kind = rng.below(100);
  if (kind < 42) return " " + word(rng);
  if (kind < 62) return word(rng);
  std::string out;
  if (kind < 70) {
    out = (rng.below(2) == 0 ? " " : "") + word(rng);
    const size_t first = out.front() == ' ' ? 1 : 0;
    out[first] = static_cast<char>(out[first] - 32);
    return out;
  }
  if (kind < 86) {
    for (uint64_t count = 1 + rng.below(4); count > 0; --count)
      out += std::string{'\xE4', static_cast<char>(0xB8 + rng.below(8)),
                         static_cast<char>(0x80 + rng.below(64))};
    return out;
  }
  if (kind < 91) return (rng.below(2) == 0 ? "_" : ".") + word(rng);
  if (kind < 92) return std::to_string(rng.below(1000));
  if (kind < 93) {
    out = std::string{'\xE4', static_cast<char>(0xB8 + rng.below(8))};
    return rng.below(2) == 0 ? out : static_cast<char>(0x80 + rng.below(64)) + out;
  }
  for (uint64_t count = 1 + rng.below(4); count > 0; --count)
    out += kMarks[rng.below(std::size(kMarks))];
  if (rng.below(3) == 0) out += word(rng);
  return out;
}

std::shared_ptr<const GrammarVocabulary> make_vocabulary(const Options& options) {
  if (!options.file.empty()) {
    std::ifstream file(options.file, std::ios::binary);
    const std::string json{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const auto tokenizer = sis::text::Tokenizer::from_json(json);
    if (!tokenizer) {
      fmt::print(stderr, "grammar_bench: {}: {}\n", options.file, tokenizer.error().message);
      return nullptr;
    }
    auto made = GrammarVocabulary::create(**tokenizer, {});
    return made ? *made : nullptr;
  }
  Rng rng(options.seed);
  std::vector<GrammarVocabulary::Token> tokens;
  std::unordered_set<std::string> known;
  for (int byte = 0; byte < 256; ++byte)
    tokens.push_back({.bytes = std::string(1, static_cast<char>(byte))});
  while (tokens.size() + 1 < options.tokens) {
    std::string token = random_token(rng);
    // Combinations run out; longer ones do not.
    if (!known.insert(token).second) token += word(rng);
    if (known.insert(token).second || token.size() > 1) tokens.push_back({.bytes = token});
  }
  tokens.push_back({.bytes = "<|im_end|>", .is_control = true});
  auto made =
      GrammarVocabulary::create(tokens, {.eos_tokens = {static_cast<int32_t>(tokens.size()) - 1}});
  return made ? *made : nullptr;
}

struct Named {
  const char* name;
  GrammarSource source;
};

std::string wide_schema(int properties) {
  std::string out = R"({"type": "object", "properties": {)";
  for (int i = 0; i < properties; ++i)
    out += sis::concat(i > 0 ? "," : "", "\"field_", i, "\": {\"type\": [\"string\", \"null\"]}");
  return out + "}}";
}
std::string enum_schema(int values) {
  std::string out = R"({"type": "array", "minItems": 3, "items": {"enum": [)";
  for (int i = 0; i < values; ++i)
    out += sis::concat(i > 0 ? "," : "", "\"value number ", i * 37, "\"");
  return out + "]}}";
}

std::vector<Named> grammars() {
  const std::string weather = R"({"type": "object", "properties": {
      "location": {"type": "string", "description": "City"},
      "unit": {"enum": ["celsius", "fahrenheit"]}, "days": {"type": "integer", "minimum": 1, "maximum": 14}},
      "required": ["location", "unit"], "additionalProperties": false})";
  const std::string search = R"({"type": "object", "properties": {
      "query": {"type": "string", "minLength": 1, "maxLength": 200},
      "filters": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
      "page": {"type": "integer", "minimum": 0}}, "required": ["query"], "additionalProperties": false})";
  const auto call = [](const char* name, const std::string& schema) {
    return GrammarSource::sequence({GrammarSource::literal(sis::concat(
                                        "<tool_call>\n{\"name\": \"", name, "\", \"arguments\": ")),
                                    GrammarSource::json_schema(schema),
                                    GrammarSource::literal("}\n</tool_call>")});
  };
  return {
      {"person", GrammarSource::json_schema(R"({"type": "object", "properties": {
          "name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
          "email": {"type": "string", "format": "email"},
          "address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"},
            "zip": {"type": "string", "pattern": "^\\d{5}(-\\d{4})?$"}}, "required": ["street", "city", "zip"]},
          "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 10}},
          "required": ["name", "age", "email", "address", "tags"]})")},
      {"math steps", GrammarSource::json_schema(R"({"type": "object", "properties": {
          "steps": {"type": "array", "items": {"type": "object", "properties": {
            "explanation": {"type": "string"}, "output": {"type": "string"}},
            "required": ["explanation", "output"], "additionalProperties": false}},
          "final_answer": {"type": "string"}}, "required": ["steps", "final_answer"],
          "additionalProperties": false})")},
      {"invoice", GrammarSource::json_schema(R"({"type": "object", "properties": {
          "id": {"type": "string", "format": "uuid"}, "issued": {"type": "string", "format": "date-time"},
          "currency": {"enum": ["EUR", "USD", "GBP", "JPY", "CHF"]},
          "lines": {"type": "array", "minItems": 1, "items": {"type": "object", "properties": {
            "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4,8}$"},
            "text": {"type": "string", "minLength": 3, "maxLength": 80},
            "price": {"type": "number", "minimum": 0, "maximum": 99999.99, "multipleOf": 0.01},
            "count": {"type": "integer", "exclusiveMinimum": 0}}, "required": ["sku", "text", "price", "count"]}},
          "note": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
          "required": ["id", "issued", "currency", "lines", "note"]})")},
      {"tree", GrammarSource::json_schema(R"({"$defs": {"node": {"type": "object", "properties": {
          "tag": {"enum": ["div", "button", "header", "section", "field", "form"]}, "label": {"type": "string"},
          "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
          "attributes": {"type": "object", "additionalProperties": {"type": "string"}}},
          "required": ["tag", "label", "children"]}}, "$ref": "#/$defs/node"})")},
      {"username", GrammarSource::json_schema(R"({"type": "object", "properties": {
          "user": {"type": "string", "pattern": "^[a-zA-Z][a-zA-Z0-9_]{2,31}$"},
          "bio": {"type": "string", "pattern": "^[^<>]{0,300}$"},
          "site": {"type": "string", "format": "uri"}}, "required": ["user", "bio", "site"]})")},
      {"union", GrammarSource::json_schema(R"({"type": "array", "minItems": 2, "items": {"oneOf": [
          {"type": "object", "properties": {"kind": {"const": "move"}, "x": {"type": "number"}, "y": {"type": "number"}},
            "required": ["kind", "x", "y"]},
          {"type": "object", "properties": {"kind": {"const": "say"}, "text": {"type": "string"}},
            "required": ["kind", "text"]},
          {"type": "object", "properties": {"kind": {"const": "wait"}, "seconds": {"type": "integer", "maximum": 60}},
            "required": ["kind", "seconds"]}]}})")},
      {"60 optional", GrammarSource::json_schema(wide_schema(60))},
      {"enum of 500", GrammarSource::json_schema(enum_schema(500))},
      {"any object", GrammarSource::json_object()},
      {"any, pretty", GrammarSource::json_object(true)},
      {"tool calls",
       GrammarSource::repeat(
           GrammarSource::choice({call("get_weather", weather), call("search", search)}), 1, 3)},
      {"text, tool", GrammarSource::sequence({GrammarSource::any_text_until("<tool_call>"),
                                              GrammarSource::json_object(),
                                              GrammarSource::literal("</tool_call>")})},
  };
}

double percentile(std::vector<double> values, int percent) {
  const size_t at = std::min(values.size() - 1, values.size() * static_cast<size_t>(percent) / 100);
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(at), values.end());
  return values[at];
}

bool is_set(const std::vector<uint64_t>& words, int32_t id) {
  return (words[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0;
}

// A token of the mask, any; -1 when it has none.
int32_t pick(const std::vector<uint64_t>& words, Rng& rng) {
  const size_t begin = rng.below(words.size());
  for (size_t i = 0; i < words.size(); ++i) {
    const size_t at = (begin + i) % words.size();
    if (words[at] == 0) continue;
    uint64_t word = words[at];
    for (uint64_t skip = rng.below(static_cast<uint64_t>(__builtin_popcountll(word))); skip > 0;
         --skip)
      word &= word - 1;
    return static_cast<int32_t>(at * 64) + __builtin_ctzll(word);
  }
  return -1;
}
int32_t pick_among(const std::vector<int32_t>& tokens, const std::vector<uint64_t>& words,
                   Rng& rng) {
  const size_t begin = rng.below(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i)
    if (const int32_t id = tokens[(begin + i) % tokens.size()]; is_set(words, id)) return id;
  return -1;
}

// Tokens that begin with what closes a string or a bracket.
std::vector<int32_t> closing_tokens(const GrammarVocabulary& vocabulary) {
  std::vector<int32_t> out;
  for (int32_t id = 0; id < vocabulary.vocab_size(); ++id)
    if (const auto bytes = vocabulary.token_bytes(id);
        !bytes.empty() && std::string_view("\"]}").find(bytes[0]) != std::string_view::npos)
      out.push_back(id);
  return out;
}

// One text; appends the time of each mask.
void grow(const sis::text::Grammar& grammar, const GrammarVocabulary& vocabulary,
          const std::vector<int32_t>& closing, Rng& rng, int tokens_max,
          std::vector<double>& times) {
  const auto matcher = grammar.start();
  std::vector<uint64_t> words(vocabulary.mask_words());
  for (int step = 0; step < tokens_max; ++step) {
    const double begin = cpu_us();
    matcher->mask(words);
    times.push_back(cpu_us() - begin);
    // The longer the text, the more it wants to end.
    int32_t token = -1;
    if (rng.below(100) < 15 + static_cast<uint64_t>(step) / 4)
      token = pick_among(closing, words, rng);
    if (token < 0) token = pick(words, rng);
    if (token < 0 || vocabulary.is_eos(token) || !matcher->accept(token)) break;
  }
}

int run(const Options& options) {
  const double begin = cpu_us();
  const auto vocabulary = make_vocabulary(options);
  if (vocabulary == nullptr) return 1;
  utsname system{};
  uname(&system);
  fmt::print("grammar_bench: commit {}, seed {}, one thread\nmachine    {}, {} {}\n", SIS_COMMIT,
             options.seed, cpu_name(), system.sysname, system.release);
  fmt::print("vocabulary {} tokens, {} trie nodes, {:.1f} MB, made in {:.0f} ms\n\n",
             vocabulary->vocab_size(), vocabulary->trie().size(),
             static_cast<double>(vocabulary->bytes()) / 1e6, (cpu_us() - begin) / 1e3);
  fmt::print(
      "{:<12} {:>10} | first text, us: {:>5} {:>7} {:>7} | all, us: {:>5} {:>7} {:>7} | {:>7} "
      "{:>8}\n",
      "grammar", "compile ms", "p50", "p99", "max", "p50", "p99", "max", "masks", "MB");
  std::vector<double> everything;
  const std::vector<int32_t> closing = closing_tokens(*vocabulary);
  for (const Named& one : grammars()) {
    std::vector<double> first, all, compile_ms;
    double bytes = 0;
    // Each round starts from nothing.
    for (int round = 0; round < (options.smoke ? 1 : 5); ++round) {
      const double compile_begin = cpu_us();
      const auto grammar = sis::text::compile(one.source, vocabulary);
      compile_ms.push_back((cpu_us() - compile_begin) / 1e3);
      if (!grammar) {
        fmt::print(stderr, "grammar_bench: {}: {}\n", one.name, grammar.error().message);
        return 1;
      }
      Rng rng(options.seed + static_cast<uint64_t>(round));
      std::vector<double> times;
      grow(**grammar, *vocabulary, closing, rng, options.smoke ? 20 : 200, times);
      first.insert(first.end(), times.begin(), times.end());
      for (int text = 1; text < options.texts; ++text)
        grow(**grammar, *vocabulary, closing, rng, options.smoke ? 20 : 200, times);
      all.insert(all.end(), times.begin(), times.end());
      bytes = static_cast<double>((*grammar)->bytes());
    }
    fmt::print(
        "{:<12} {:>10.2f} | {:>21.1f} {:>7.1f} {:>7.1f} | {:>14.1f} {:>7.1f} {:>7.1f} | {:>7} "
        "{:>8.1f}\n",
        one.name, percentile(compile_ms, 50), percentile(first, 50), percentile(first, 99),
        percentile(first, 100), percentile(all, 50), percentile(all, 99), percentile(all, 100),
        all.size(), bytes / 1e6);
    everything.insert(everything.end(), all.begin(), all.end());
  }
  fmt::print("\nall {} masks: p50 {:.1f} us, p99 {:.1f} us, max {:.1f} us\n", everything.size(),
             percentile(everything, 50), percentile(everything, 99), percentile(everything, 100));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--smoke") {
      options.smoke = true;
      options.tokens = 4000;
      options.texts = 2;
    } else if (argument == "--tokens" && i + 1 < argc) {
      options.tokens = static_cast<size_t>(std::clamp(std::atoi(argv[++i]), 1000, 1'000'000));
    } else if (argument == "--texts" && i + 1 < argc) {
      options.texts = std::max(1, std::atoi(argv[++i]));
    } else if (argument == "--seed" && i + 1 < argc) {
      options.seed = static_cast<uint64_t>(std::atoll(argv[++i]));
    } else if (!argument.starts_with("--")) {
      options.file = argument;
    } else {
      fmt::print(
          stderr,
          "usage: grammar_bench [--smoke] [--tokens N] [--texts N] [--seed N] [tokenizer.json]\n");
      return 2;
    }
  }
  return run(options);
}
