// Masks against the definition: a token is allowed when a clone accepts it.
#include <algorithm>
#include <chrono>
#include <thread>

#include "infer/text/grammar/grammar_test_support.h"

namespace sis::text {
namespace {

using S = GrammarSource;

struct Case {
  const char* name;
  GrammarSource source;
};

std::vector<Case> cases() {
  return {
      {"literal", S::literal("{\"name\": 12}")},
      {"literal with a control token", S::sequence({S::literal("a<|call|>b"), S::literal("c")})},
      {"any text", S::any_text()},
      {"any text until", S::any_text_until("aab")},
      {"any text without",
       S::sequence({S::any_text_without("aab"), S::repeat(S::literal("aab\"12"), 0, 1)})},
      {"any text until control", S::any_text_until("<|call|>")},
      {"regex", S::regex("(ab|a[^b]){2,5}x?[\\u4e00-\\u9fff]*")},
      {"regex of anything", S::regex(".{3,7}\"a")},
      {"number", S::json_schema(R"({"type": "number", "minimum": -1.5, "maximum": 120})")},
      {"string", S::json_schema(R"({"type": "string"})")},
      {"short string", S::json_schema(R"({"type": "string", "maxLength": 5})")},
      {"long string", S::json_schema(R"({"type": "string", "minLength": 2, "maxLength": 100})")},
      {"short or long", S::json_schema(R"({"anyOf": [{"type": "string", "maxLength": 3},
          {"type": "string", "pattern": "^a{4,6}$"}]})")},
      {"value", S::json_schema("{}")},
      {"value with lines", S::json_schema("{}", {.line_breaks = true})},
      {"object", S::json_schema(R"({"type": "object", "properties": {
          "name": {"type": "string"}, "n": {"type": "integer"},
          "list": {"type": "array", "items": {"enum": ["a", "ab", "abc", 12, 100]}}},
          "required": ["n"]})")},
      {"recursion", S::json_schema(R"({"$defs": {"t": {"type": "object", "properties": {
          "v": {"type": "integer"}, "c": {"type": "array", "items": {"$ref": "#/$defs/t"}}},
          "required": ["v"]}}, "$ref": "#/$defs/t"})")},
      {"choice", S::choice({S::json_schema(R"({"type": "string", "pattern": "^a+$"})"),
                            S::json_schema(R"({"type": "string", "maxLength": 3})"),
                            S::literal("\"abcabc\"")})},
      {"tool calls",
       S::sequence({S::any_text_until("<tool_call>"),
                    S::repeat(S::sequence({S::literal("\n{\"name\": \"a\", \"arguments\": "),
                                           S::json_object(), S::literal("}\n")}),
                              1, 3)})},
      {"right recursion", S::ebnf("root ::= \"a\" root | \"b\"")},
      {"ambiguous", S::ebnf("root ::= x x x\nx ::= \"a\"* | \"ab\"? | [a-c]{0,3}")},
      {"brackets", S::ebnf("root ::= \"[\" root* \"]\" | \"\\\"\" .{2,4} \"\\\"\"")},
  };
}

std::vector<int32_t> by_definition(const GrammarMatcher& matcher, int32_t vocab_size) {
  std::vector<int32_t> out;
  for (int32_t id = 0; id < vocab_size; ++id)
    if (matcher.clone()->accept(id)) out.push_back(id);
  return out;
}

// At every state of some random walks; the walks prefer long tokens, so that they go far.
TEST(GrammarMatcher, MaskIsWhatAcceptTakes) {
  const auto vocabulary = test_vocabulary();
  for (const Case& one : cases()) {
    const auto grammar = compiled(one.source);
    ASSERT_NE(grammar, nullptr) << one.name;
    for (uint64_t seed = 1; seed <= 6; ++seed) {
      Rng rng(seed);
      const auto matcher = grammar->start();
      std::string text;
      for (int step = 0; step < 60; ++step) {
        const auto allowed = allowed_tokens(*matcher, *vocabulary);
        ASSERT_EQ(allowed, by_definition(*matcher, vocabulary->vocab_size()))
            << one.name << " seed " << seed << " after " << text;
        ASSERT_FALSE(allowed.empty()) << one.name << " after " << text;
        int32_t token = allowed[rng.below(allowed.size())];
        for (int tries = 0; tries < 4 && token < 256; ++tries)
          token = allowed[rng.below(allowed.size())];
        if (vocabulary->is_eos(token)) break;
        ASSERT_TRUE(matcher->accept(token));
        text += vocabulary->token_bytes(token);
      }
    }
  }
}

TEST(GrammarMatcher, EndsWhereTheTextIsComplete) {
  const auto vocabulary = test_vocabulary();
  const int32_t end = vocabulary->eos_tokens()[0];
  const auto matcher = compiled(S::regex("ab?"))->start();
  EXPECT_FALSE(matcher->complete());
  EXPECT_FALSE(matcher->accept(end));
  EXPECT_TRUE(accept_text(*matcher, "a"));
  EXPECT_TRUE(matcher->complete());
  EXPECT_FALSE(matcher->finished());
  EXPECT_EQ(allowed_tokens(*matcher, *vocabulary), (std::vector<int32_t>{'b', end}));
  EXPECT_TRUE(matcher->accept('b'));
  EXPECT_TRUE(matcher->finished());
  EXPECT_EQ(allowed_tokens(*matcher, *vocabulary), std::vector<int32_t>{end});
  EXPECT_FALSE(matcher->accept('b'));
  EXPECT_TRUE(matcher->accept(end));
  EXPECT_TRUE(matcher->finished());
}

TEST(GrammarMatcher, AnEmptyTextMayBeComplete) {
  for (const auto& source : {S::regex(""), S::regex("a*"), S::literal(""), S::any_text(),
                             S::repeat(S::literal("x"), 0, 3), S::ebnf("root ::= \"\" | \"a\"")}) {
    EXPECT_TRUE(compiled(source)->start()->complete());
  }
  EXPECT_TRUE(compiled(S::literal(""))->start()->finished());
}

TEST(GrammarMatcher, ControlTokensStandForTheirNameInLiteralsOnly) {
  const auto vocabulary = test_vocabulary();
  const int32_t call = *vocabulary->control_token("<|call|>");
  EXPECT_TRUE(compiled(S::literal("<|call|>x"))->start()->accept(call));
  EXPECT_TRUE(compiled(S::any_text_until("<|call|>"))->start()->accept(call));
  EXPECT_TRUE(begins(*compiled(S::literal("<|call|>x")), "<|call|>"));
  EXPECT_FALSE(compiled(S::any_text())->start()->accept(call));
  EXPECT_FALSE(compiled(S::regex("<\\|call\\|>x"))->start()->accept(call));
  EXPECT_FALSE(schema_grammar(R"({"const": "<|call|>"})")->start()->accept(call));
}

TEST(GrammarMatcher, TextWithoutALiteralUntilItComes) {
  const auto grammar = compiled(
      S::sequence({S::any_text_without("<call>"), S::repeat(S::literal("<call>x"), 0, 1)}));
  const auto takes = [&](std::string_view text) {
    const auto matcher = grammar->start();
    return accept_text(*matcher, text) && matcher->complete();
  };
  EXPECT_TRUE(takes(""));
  EXPECT_TRUE(takes("a < b, <cal, <<call"));
  EXPECT_TRUE(takes("a<<call>x"));
  EXPECT_FALSE(takes("<call>"));
  EXPECT_FALSE(takes("<call>y"));
  EXPECT_FALSE(takes("<call>x "));
}

// Every letter opens thousands of places: some tokens are given, then no more.
TEST(GrammarMatcher, AGrammarThatCostsTooMuchIsExhausted) {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "(a?b?c?d?e?f?){1000}";
  const auto costly = compiled(S::regex(pattern))->start();
  const auto plain = compiled(S::json_object())->start();
  std::vector<uint64_t> words(test_vocabulary()->mask_words());
  const auto any = [&] {
    return std::any_of(words.begin(), words.end(), [](uint64_t word) { return word != 0; });
  };
  costly->mask(words);
  EXPECT_TRUE(any());
  EXPECT_FALSE(costly->exhausted());
  EXPECT_TRUE(plain->accept('{'));
  EXPECT_TRUE(plain->accept('"'));
  int tokens = 0;
  for (; tokens < 400 && !costly->exhausted(); ++tokens) {
    ASSERT_TRUE(costly->accept("abcdef"[tokens % 6]));
    costly->mask(words);
    ASSERT_TRUE(plain->accept('a'));
    plain->mask(words);
    EXPECT_FALSE(plain->exhausted());
  }
  EXPECT_LT(tokens, 400);
  costly->mask(words);
  EXPECT_FALSE(any());
  EXPECT_TRUE(costly->clone()->exhausted());
}

TEST(GrammarMatcher, MatchersOutliveTheGrammarAndAreIndependent) {
  auto grammar = compiled(S::regex("a{3}|b{3}"));
  const auto first = grammar->start();
  EXPECT_TRUE(first->accept('a'));
  const auto second = first->clone();
  grammar.reset();
  EXPECT_TRUE(second->accept('a'));
  EXPECT_TRUE(second->accept('a'));
  EXPECT_TRUE(second->finished());
  EXPECT_FALSE(first->complete());
  EXPECT_FALSE(first->accept('b'));
}

// A cache far too small for what is met: matchers move from machine to machine and notice nothing.
TEST(GrammarMatcher, ForgettingChangesNothing) {
  const auto vocabulary = test_vocabulary();
  const auto source = S::json_schema("{}", {.line_breaks = true});
  const auto roomy = compile(source, vocabulary);
  const auto tight = compile(source, vocabulary, {.cache_bytes = 1});
  ASSERT_TRUE(roomy.ok() && tight.ok());
  size_t bytes_max = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Rng rng(seed);
    const auto a = (*roomy)->start(), b = (*tight)->start();
    for (int step = 0; step < 80; ++step) {
      const auto allowed = allowed_tokens(*a, *vocabulary);
      ASSERT_EQ(allowed, allowed_tokens(*b, *vocabulary));
      const int32_t token = allowed[rng.below(allowed.size())];
      if (vocabulary->is_eos(token)) break;
      ASSERT_TRUE(a->accept(token));
      ASSERT_TRUE(b->accept(token));
      ASSERT_EQ(a->complete(), b->complete());
      bytes_max = std::max(bytes_max, (*tight)->bytes());
    }
  }
  EXPECT_GT((*roomy)->bytes(), 2 * bytes_max);
}

TEST(GrammarMatcher, ThreadsShareAGrammar) {
  const auto vocabulary = test_vocabulary();
  const auto grammar = compile(S::json_schema("{}"), vocabulary, {.cache_bytes = 1 << 15});
  ASSERT_TRUE(grammar.ok());
  const auto walk = [&](uint64_t seed) {
    Rng rng(seed);
    std::string text;
    const auto matcher = (*grammar)->start();
    for (int step = 0; step < 200; ++step) {
      const auto allowed = allowed_tokens(*matcher, *vocabulary);
      const int32_t token = allowed[rng.below(allowed.size())];
      if (vocabulary->is_eos(token) || !matcher->accept(token)) break;
      text += vocabulary->token_bytes(token);
    }
    return text;
  };
  std::vector<std::string> alone, together(4);
  for (uint64_t seed = 0; seed < 4; ++seed) alone.push_back(walk(seed));
  std::vector<std::thread> threads;
  for (uint64_t seed = 0; seed < 4; ++seed)
    threads.emplace_back([&, seed] { together[seed] = walk(seed); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(alone, together);
}

// Nesting has an end; what stays allowed still leads out.
TEST(GrammarMatcher, DeepTextsStopNesting) {
  const auto grammar = compiled(S::json_schema("{}"));
  const auto matcher = grammar->start();
  int depth = 0;
  while (depth < 10'000 && accept_text(*matcher, "[")) ++depth;
  EXPECT_GE(depth, 100);
  EXPECT_LE(depth, 600);
  EXPECT_TRUE(accept_text(*matcher, std::string(static_cast<size_t>(depth), ']')));
  EXPECT_TRUE(matcher->finished());
}

// Hundreds of thousands of ways to get nowhere cost no mask: those that are the same are one, and
// what still takes too long to follow is refused before anything is generated with it.
TEST(GrammarMatcher, FollowingIsBounded) {
  std::string nothing = "root ::= x{1,100000}\nx ::= ";
  for (int i = 0; i < 100'000; ++i) nothing += "()? ";
  const auto grammar = compiled(S::ebnf(nothing + "([a]|[b])"));
  ASSERT_NE(grammar, nullptr);
  const auto matcher = grammar->start();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 200; ++i) {
    const auto allowed = allowed_tokens(*matcher, *test_vocabulary());
    ASSERT_FALSE(allowed.empty());
    ASSERT_TRUE(matcher->accept(i % 2 == 0 ? 'a' : 'b'));
  }
  // Milliseconds; each of the 200 masks took tens of them before.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));

  std::string called = "root ::= x{1,100000}\ny ::= \"k\"\nx ::= ";
  for (int i = 0; i < 100'000; ++i) called += "y? ";
  EXPECT_NE(compile_error(S::ebnf(called + "\"a\"")).message.find("ambiguous"), std::string::npos);
}

// What no text can begin with is refused when it is compiled, not when a token is wanted.
TEST(GrammarMatcher, NoBeginningIsNoGrammar) {
  std::string maybe;
  for (int i = 0; i < 5000; ++i) maybe += "a?";
  EXPECT_NE(compile_error(S::regex(maybe + "b")).message.find("ambiguous"), std::string::npos);
  EXPECT_NE(compiled(S::regex("(a?){5000}b")), nullptr);
}

// Rules that end with themselves need no stack.
TEST(GrammarMatcher, RightRecursionGoesOnForEver) {
  const auto matcher = compiled(S::ebnf("root ::= \"a\" root | \"b\""))->start();
  EXPECT_TRUE(accept_text(*matcher, std::string(100'000, 'a')));
  EXPECT_TRUE(accept_text(*matcher, "b"));
  EXPECT_TRUE(matcher->finished());
}

}  // namespace
}  // namespace sis::text
