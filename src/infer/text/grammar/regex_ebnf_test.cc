// Patterns and GBNF by texts they take, and what they say about faults; vocabularies.
#include <algorithm>
#include <functional>
#include <regex>

#include "base/strings.h"
#include "infer/text/grammar/grammar_test_support.h"

namespace sis::text {
namespace {

using S = GrammarSource;

TEST(Regex, TakesWholeTexts) {
  const auto regex = [](const char* pattern) { return compiled(S::regex(pattern)); };
  expect_texts(regex("abc"), {"abc"}, {"", "ab", "abcd", "xabc"});
  expect_texts(regex("a|bc|"), {"a", "bc", ""}, {"b", "abc"});
  expect_texts(regex("(ab)+c?"), {"ab", "abab", "abc"}, {"", "aba", "abcc"});
  expect_texts(regex("a{2,4}"), {"aa", "aaa", "aaaa"}, {"a", "aaaaa"});
  expect_texts(regex("a{3}b{0}c{2,}"), {"aaacc", "aaaccccc"}, {"aacc", "aaac", "aaabcc"});
  expect_texts(regex("(a|b{2}){2}"), {"aa", "abb", "bbbb"}, {"a", "ab", "aaa"});
  expect_texts(regex("^a$|^b"), {"a", "b"}, {"ab"});
  expect_texts(regex("[a-c\\d_]+"), {"ab09_"}, {"d", "-"});
  expect_texts(regex("[^a-z]"), {"A", "\n", "\xC3\xA9", "\xF0\x9F\x98\x80"}, {"a", "\xC3", ""});
  expect_texts(regex("[a\\]-]+"), {"a]-"}, {"\\"});
  expect_texts(regex("[\\w-.]+"), {"a-b.c"}, {"+"});
  expect_texts(regex("\\w+\\s\\S\\W"), {"ab !?"}, {"ab  !"});
  expect_texts(regex("."), {"a", "\xE4\xBD\xA0"}, {"\n", "\xE4\xBD", "ab"});
  expect_texts(regex("\\u4f60\\x41\\u{1F600}\\ud83d\\ude00\\t\\.\\/"),
               {"\xE4\xBD\xA0"
                "A\xF0\x9F\x98\x80\xF0\x9F\x98\x80\t./"},
               {"\xE4\xBD\xA0"
                "A"});
  expect_texts(regex("[\\u0370-\\u03ff]{2}"), {"\xCE\xB1\xCE\xB2"}, {"\xCE\xB1", "ab"});
  expect_texts(regex("a*?b+?c?(?:d)(?<n>e)(?P<m>f)"), {"bdef", "aabbcdef"}, {"def"});
  expect_texts(regex("x{a}{,2}"), {"x{a}{,2}"}, {"x"});
  expect_texts(regex("(a?){5}(a*)*b"), {"b", "aaaaaaaaab"}, {"a"});
  expect_texts(regex("((a{0,3}){0,3}b){2}"), {"bb", "aaaaaaaaabab"}, {"aaaaaaaaaabb"});
}

// Random patterns of a small language against the standard library.
TEST(Regex, AgreesWithTheStandardLibrary) {
  Rng rng(7);
  const std::function<std::string(int)> make = [&](int depth) -> std::string {
    switch (rng.below(depth > 0 ? 8 : 3)) {
      case 0:
        return "a";
      case 1:
        return "b";
      case 2:
        return "[ac]";
      case 3:
        return make(depth - 1) + make(depth - 1);
      case 4:
        return "(" + make(depth - 1) + "|" + make(depth - 1) + ")";
      case 5:
        return "(" + make(depth - 1) + ")*";
      case 6:
        return "(" + make(depth - 1) + ")?";
      default:
        return concat("(", make(depth - 1), "){", rng.below(2), ",", 2 + rng.below(2), "}");
    }
  };
  std::vector<std::string> texts{""};
  for (size_t i = 0; i < texts.size() && texts[i].size() < 5; ++i)
    for (const char c : {'a', 'b', 'c'}) texts.push_back(texts[i] + c);
  for (int round = 0; round < 60; ++round) {
    const std::string pattern = make(3);
    const auto grammar = compiled(S::regex(pattern));
    ASSERT_NE(grammar, nullptr) << pattern;
    const std::regex reference(pattern);
    for (const std::string& text : texts)
      ASSERT_EQ(takes(*grammar, text), std::regex_match(text, reference)) << pattern << " " << text;
  }
}

TEST(Regex, FaultsAreNamed) {
  const std::pair<const char*, const char*> faults[] = {
      {"(a", "missing )"},
      {"a)", "unmatched )"},
      {"[a", "missing ]"},
      {"*a", "nothing to repeat at byte 0"},
      {"a**", "nothing to repeat"},
      {"a{3,2}", "maximum below its minimum"},
      {"a{99999999}", "count above"},
      {"a{1,99999999999999999999999}", "count above"},
      {"(?!a)", "look-around"},
      {"(?<=a)b", "look-around"},
      {"(a)\\1", "\\1 is not supported"},
      {"\\bword", "\\b is not supported"},
      {"\\p{L}", "\\p is not supported"},
      {"(?i)a", "flags"},
      {"a$b", "ends of alternatives"},
      {"(^a)*", "ends of alternatives"},
      {"[z-a]", "range with its end first"},
      {"\\x4", "hexadecimal"},
      {"\\ud800", "no Unicode character"},
      {"\xFF", "not UTF-8"},
      {"a\\", "without what it escapes"},
      {"[[:alpha:]]", "[:name:]"},
      {"[]", "no text can match"},
  };
  for (const auto& [pattern, message] : faults) {
    const Error error = compile_error(S::regex(pattern));
    EXPECT_EQ(error.code, Code::kInvalidArgument);
    EXPECT_NE(error.message.find(message), std::string::npos) << pattern << ": " << error.message;
  }
  EXPECT_NE(compile_error(S::regex(std::string(5000, '('))).message.find("too deep"),
            std::string::npos);
}

TEST(Ebnf, ReadsGbnf) {
  expect_texts(compiled(S::ebnf(R"(
# a list
root   ::= "[" ws (item ("," ws item)*)? "]"   # the end
item   ::= [0-9]+ | "\"" [^"\n]{1,3} "\"" |
           "yes" | ( "no"
             | "maybe" )
ws     ::= " "?
)")),
               {"[]", "[ 1, 23,yes]", "[\"ab\",no,maybe]"}, {"[,]", "[\"abcd\"]", "[1", "[] "});
  expect_texts(compiled(S::ebnf("root ::= \"\\x41\\u00e9\\n\\\\\" . [\\x30-\\u0039\\-\\]]{2}")),
               {"A\xC3\xA9\n\\\xE4\xBD\xA0"
                "3]",
                "A\xC3\xA9\n\\x--"},
               {"A\xC3\xA9\n\\x3"});
  expect_texts(compiled(S::ebnf("root ::= a{3} b{2,} \"x\"{0,1}\na ::= \"p\" | \"\"\nb::=[q]")),
               {"pppqq", "qqqx", "pqq"}, {"ppppqq", "pq", "qqxx"});
  expect_texts(compiled(S::ebnf("root ::= \"a\" * (b # more\n + ) ? [x] {2}\nb ::= \"b\"")),
               {"xx", "aaxx", "abbxx"}, {"x", "abb", "bxxx"});
  expect_texts(
      compiled(
          S::ebnf("root ::= expr\nexpr ::= term (\"+\" term)*\nterm ::= [0-9] | \"(\" expr \")\"")),
      {"1+2", "(1+(2+3))+4"}, {"1+", "((1)", "()"});
}

TEST(Ebnf, FaultsNameTheirLine) {
  const std::pair<const char*, const char*> faults[] = {
      {"", "no rule named root"},
      {"root ::= a", "line 1: rule 'a' is not defined"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2: rule 'root' is defined twice"},
      {"root ::= \"a", "line 1: text without its closing quote"},
      {"root ::= [a", "class without its ]"},
      {"root ::= (\"a\"", "missing )"},
      {"root ::= \"a\")", "want the end of the rule, found ')'"},
      {"root = \"a\"", "want ::= behind the rule's name 'root'"},
      {"start: \"a\"", "Lark"},
      {"root: \"a\"", "Lark"},
      {"root ::= \"a\"{2,1}", "maximum below"},
      {"root ::= \"a\"{99999999999999999999999}", "count above"},
      {"root ::= \"\\q\"", "\\q is not known"},
      {"root ::= root \"a\" | \"a\"", "left recursion): root -> root"},
      {"root ::= x | \"b\"\nx ::= \"y\"* root", "left recursion"},
      {"root ::= \"a\" root", "no text can match"},
  };
  for (const auto& [rules, message] : faults) {
    const Error error = compile_error(S::ebnf(rules));
    EXPECT_EQ(error.code, Code::kInvalidArgument);
    EXPECT_NE(error.message.find(message), std::string::npos) << rules << ": " << error.message;
  }
}

TEST(Sources, Compose) {
  const auto call = [](const char* name, const char* schema) {
    return S::sequence(
        {S::literal(concat("<tool_call>\n{\"name\": \"", name, "\", \"arguments\": ")),
         S::json_schema(schema), S::literal("}\n</tool_call>")});
  };
  const auto grammar = compiled(S::sequence(
      {S::repeat(S::regex("[a-zA-Z .]"), 0),
       S::repeat(
           S::choice({call("f", R"({"properties": {"x": {"type": "integer"}}, "required": ["x"]})"),
                      call("g", R"({"type": "object", "additionalProperties": false})")}),
           0, 2)}));
  const std::string f = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>";
  const std::string g = "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>";
  expect_texts(grammar, {"", "hello tool", f, "Let me see." + f + g, g},
               {"<tool_call>", f + f + g, f + "x", "a<tool_call>\n{\"name\": \"h\""});
  expect_texts(compiled(S::any_text_until("aab")),
               {"aab", "aaab", "xaab",
                "\xC3\xA9"
                "aab",
                "a\nabaab"},
               {"aa", "aabx", "aabaab",
                "\xC3"
                "aab"});
  EXPECT_NE(compile_error(S::repeat(S::literal("a"), 3, 2)).message.find("in order"),
            std::string::npos);
  EXPECT_NE(compile_error(S::any_text_until("")).message.find("some UTF-8"), std::string::npos);
  EXPECT_NE(compile_error(S::literal("\xFF")).message.find("UTF-8"), std::string::npos);
  EXPECT_NE(compile_error(S::choice({})).message.find("no text"), std::string::npos);
  S deep = S::literal("a");
  for (int i = 0; i < 100; ++i) deep = S::sequence({deep});
  EXPECT_NE(compile_error(deep).message.find("nested deeper"), std::string::npos);
}

// What hostile grammars cost at run time is bounded: each step and mask here would be a new state.
TEST(Sources, HostileGrammarsStayWithinBounds) {
  const auto vocabulary = test_vocabulary();
  for (const auto& source : {S::regex("(a|b)*a(a|b){300}"), S::regex("((a{0,200}){0,200}){0,200}b"),
                             S::ebnf("root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"a\"")}) {
    const auto grammar = compile(source, vocabulary, {.cache_bytes = 1 << 20});
    ASSERT_TRUE(grammar.ok()) << grammar.error().message;
    const auto matcher = (*grammar)->start();
    Rng rng(3);
    for (int step = 0; step < 300; ++step) {
      const auto allowed = allowed_tokens(*matcher, *vocabulary);
      if (allowed.empty()) break;
      const int32_t token = allowed[rng.below(allowed.size())];
      if (vocabulary->is_eos(token)) break;
      ASSERT_TRUE(matcher->accept(token));
    }
    EXPECT_LT((*grammar)->bytes(), 64u << 20);
  }
}

// Of every golden tokenizer: a token's bytes are what decoding it in the middle of a text adds.
TEST(GrammarVocabulary, BytesAreWhatDecodingGives) {
  for (const char* style :
       {"bert-uncased", "bert-cased", "xlmr", "gpt2", "llama3", "qwen2", "gemma", "whisper"}) {
    const auto tokenizer = Tokenizer::from_folder(concat("tests/golden/tokenizer/", style));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    const auto made = GrammarVocabulary::create(**tokenizer, {});
    ASSERT_TRUE(made.ok());
    const GrammarVocabulary& vocabulary = **made;
    EXPECT_EQ(vocabulary.vocab_size(), (*tokenizer)->vocab_size());
    Rng rng(11);
    int compared = 0;
    for (int round = 0; round < 300; ++round) {
      // The first token is cut off again: what opens a text is written in its own way.
      std::vector<int32_t> ids;
      std::string text;
      while (ids.size() < 6) {
        const auto id =
            static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocabulary.vocab_size())));
        if (vocabulary.is_control(id) || vocabulary.token_bytes(id).empty()) continue;
        if (!ids.empty()) text += vocabulary.token_bytes(id);
        ids.push_back(id);
      }
      const std::string first = (*tokenizer)->decode({ids[0]}, false);
      const std::string whole = (*tokenizer)->decode(ids, false);
      // Halves of characters and cleaned-up punctuation have no bytes of their own.
      if (!is_utf8(text) || whole.find("\xEF\xBF\xBD") != std::string::npos) continue;
      if (std::string_view(style).starts_with("bert") && whole != first + text) continue;
      ++compared;
      EXPECT_EQ(whole, first + text) << style;
    }
    EXPECT_GT(compared, 30) << style;
  }
}

TEST(GrammarVocabulary, KnowsItsTokens) {
  const auto tokenizer = Tokenizer::from_folder("tests/golden/tokenizer/qwen2");
  ASSERT_TRUE(tokenizer.ok());
  const int32_t end = *(*tokenizer)->token_to_id("<|im_end|>");
  const int32_t call = *(*tokenizer)->token_to_id("<tool_call>");
  const auto made =
      GrammarVocabulary::create(**tokenizer, {.eos_tokens = {end}, .vocab_size = 1000});
  ASSERT_TRUE(made.ok());
  const GrammarVocabulary& vocabulary = **made;
  EXPECT_EQ(vocabulary.vocab_size(), 1000);
  EXPECT_EQ(vocabulary.mask_words(), 16u);
  EXPECT_TRUE(vocabulary.is_control(end));
  EXPECT_TRUE(vocabulary.is_eos(end));
  EXPECT_EQ(vocabulary.token_bytes(end), "<|im_end|>");
  EXPECT_FALSE(vocabulary.is_control(call));
  EXPECT_TRUE(vocabulary.is_control(*(*tokenizer)->token_to_id("<|fim_prefix|>")));
  EXPECT_EQ(vocabulary.token_bytes(999), "");
  EXPECT_EQ(vocabulary.token_bytes(-1), "");
  const auto grammar = compile(S::literal("<tool_call>"), *made);
  ASSERT_TRUE(grammar.ok());
  const auto matcher = (*grammar)->start();
  EXPECT_TRUE(matcher->accept(call));
  EXPECT_EQ(allowed_tokens(*matcher, vocabulary), std::vector<int32_t>{end});
  EXPECT_FALSE(GrammarVocabulary::create(**tokenizer, {.eos_tokens = {5000}}).ok());
  EXPECT_FALSE(GrammarVocabulary::create(**tokenizer, {.vocab_size = 1 << 30}).ok());
}

}  // namespace
}  // namespace sis::text
