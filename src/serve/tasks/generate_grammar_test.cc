#include "serve/tasks/generate_grammar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/rng.h"
#include "base/strings.h"
#include "infer/text/grammar/compile.h"
#include "serve/tasks/tool_call_grammar.h"

namespace sis::tasks {
namespace {

using Kind = ResponseFormat::Kind;
using Start = ReasoningSplit::Start;

constexpr ToolFormat kFormats[] = {
    ToolFormat::kHermes, ToolFormat::kXml,   ToolFormat::kMistral, ToolFormat::kMistralArgs,
    ToolFormat::kPhi,    ToolFormat::kLlama, ToolFormat::kPython,  ToolFormat::kToolCode};

const std::shared_ptr<const text::GrammarVocabulary>& vocabulary() {
  static const auto made = [] {
    const auto tokenizer = text::Tokenizer::from_folder("tests/golden/tokenizer/qwen2");
    EXPECT_TRUE(tokenizer.ok());
    return *text::GrammarVocabulary::create(
        **tokenizer, {.eos_tokens = {*(*tokenizer)->token_to_id("<|im_end|>")}});
  }();
  return made;
}

std::shared_ptr<const text::Grammar> compiled(const GenerateCall& call, ToolFormat format,
                                              Start reasoning = Start::kOff) {
  const auto wish = choose_grammar(call, format, reasoning);
  EXPECT_TRUE(wish.has_value());
  const auto source = wish->source();
  EXPECT_TRUE(source.ok()) << (source.ok() ? "" : source.error().message);
  auto made = text::compile(*source, vocabulary());
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
  return made.ok() ? *made : nullptr;
}

bool takes(const std::shared_ptr<const text::Grammar>& grammar, std::string_view text) {
  const auto matcher = grammar->start();
  return text::accept_text(*matcher, text) && matcher->complete();
}

GenerateCall required(bool parallel = true) {
  GenerateCall call;
  call.tools = {
      {.name = "f"},
      {.name = "get",
       .parameters =
           R"({"type":"object","properties":{"n":{"type":"integer","minimum":0,"maximum":99},
               "unit":{"enum":["C","F"]},"on":{"type":"boolean"}},"required":["n"],
               "additionalProperties":false})"}};
  call.tool_choice = ToolChoice::kRequired;
  call.parallel_tool_calls = parallel;
  return call;
}

struct Parsed {
  std::string content;
  std::vector<std::pair<std::string, std::string>> calls;
};
Parsed parse(ToolFormat format, const std::vector<Tool>& tools, std::string_view text) {
  const auto parser = make_tool_call_parser({.format = format}, tools);
  Delta delta;
  parser->push(text, delta);
  parser->flush(delta);
  Parsed parsed{.content = delta.content};
  for (const auto& call : delta.tool_calls) parsed.calls.emplace_back(call.name, call.arguments);
  return parsed;
}

// A random sentence of the grammar, by tokens as an engine would pick them.
std::string random_sentence(const text::Grammar& grammar, Rng& rng) {
  const auto matcher = grammar.start();
  std::vector<uint64_t> words(vocabulary()->mask_words());
  std::string text;
  for (int token = 0; token < 4000; ++token) {
    matcher->mask(words);
    std::vector<int32_t> allowed;
    for (int32_t id = 0; id < vocabulary()->vocab_size(); ++id)
      if ((words[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0) allowed.push_back(id);
    if (allowed.empty()) {
      ADD_FAILURE() << "nothing may follow " << text;
      return text;
    }
    if (matcher->complete() && (allowed.size() == 1 || rng.below(2) == 0)) return text;
    const int32_t id = allowed[rng.below(allowed.size())];
    if (vocabulary()->is_eos(id)) return text;
    EXPECT_TRUE(matcher->accept(id));
    text += vocabulary()->token_bytes(id);
  }
  ADD_FAILURE() << "no end: " << text;
  return text;
}

// What a required call's grammar allows, the family's parser reads: calls of the tools and nothing
// else, with arguments that follow the schema.
TEST(GenerateGrammar, RequiredCallsAreRead) {
  for (const ToolFormat format : kFormats)
    for (const bool parallel : {false, true}) {
      const GenerateCall call = required(parallel);
      const auto grammar = compiled(call, format);
      ASSERT_NE(grammar, nullptr);
      Rng rng{31};
      size_t most = 0;
      for (int round = 0; round < 40; ++round) {
        const std::string text = random_sentence(*grammar, rng);
        const Parsed parsed = parse(format, call.tools, text);
        EXPECT_EQ(parsed.content, "") << text;
        ASSERT_FALSE(parsed.calls.empty()) << static_cast<int>(format) << ": " << text;
        most = std::max(most, parsed.calls.size());
        for (const auto& [name, arguments] : parsed.calls) {
          const auto json = nlohmann::json::parse(arguments, nullptr, false);
          ASSERT_TRUE(json.is_object()) << text;
          if (name == "f") {
            EXPECT_TRUE(json.empty());
            continue;
          }
          ASSERT_EQ(name, "get");
          ASSERT_TRUE(json.contains("n") && json["n"].is_number_integer()) << text;
          const auto unit = json.value("unit", "C");
          EXPECT_TRUE(unit == "C" || unit == "F") << text;
          EXPECT_TRUE(json.value("on", nlohmann::json(true)).is_boolean()) << text;
        }
      }
      if (!parallel || format == ToolFormat::kLlama)
        EXPECT_EQ(most, 1u);
      else
        EXPECT_GT(most, 1u) << static_cast<int>(format);
    }
}

// Texts as models of the families write them.
TEST(GenerateGrammar, TakesTheFamiliesForms) {
  GenerateCall call = required();
  call.tools[1].parameters =
      R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}}})";
  const std::pair<ToolFormat, const char*> good[] = {
      {ToolFormat::kHermes,
       "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": \"K\u00f6ln\", \"days\": 3}}\n"
       "</tool_call>\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>"},
      {ToolFormat::kXml,
       "<tool_call>\n<function=get>\n<parameter=city>\nNew\nYork </\n</parameter>\n"
       "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>"},
      {ToolFormat::kMistral,
       "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"f\", \"arguments\": {}}]"},
      {ToolFormat::kMistralArgs, "[TOOL_CALLS]get[ARGS]{\"city\": \"x\"}[TOOL_CALLS]f[ARGS]{}"},
      {ToolFormat::kPhi, "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}]<|/tool_call|>"},
      {ToolFormat::kLlama, "{\"name\": \"get\", \"parameters\": {\"city\": \"x\"}}"},
      {ToolFormat::kPython, "[get(days=3), f()]"},
      {ToolFormat::kToolCode, "```tool_code\nget(city=\"x\", days=3)\n```"},
  };
  for (const auto& [format, text] : good) {
    const auto grammar = compiled(call, format);
    ASSERT_NE(grammar, nullptr);
    EXPECT_TRUE(takes(grammar, text)) << text;
    EXPECT_FALSE(takes(grammar, "")) << text;
    EXPECT_FALSE(takes(grammar, concat(text, "!"))) << text;
    EXPECT_FALSE(takes(grammar, "Just words.")) << text;
    const Parsed parsed = parse(format, call.tools, text);
    EXPECT_EQ(parsed.content, "");
    EXPECT_FALSE(parsed.calls.empty());
  }
}

TEST(GenerateGrammar, Formats) {
  GenerateCall call;
  call.format.kind = Kind::kJsonObject;
  auto grammar = compiled(call, ToolFormat::kHermes);
  EXPECT_TRUE(takes(grammar, R"({"a": [1, null]})"));
  EXPECT_FALSE(takes(grammar, "[1]"));
  call.format = {.kind = Kind::kJsonSchema, .source = R"({"enum":["yes","no"]})"};
  EXPECT_TRUE(takes(compiled(call, ToolFormat::kHermes), "\"yes\""));
  EXPECT_FALSE(takes(compiled(call, ToolFormat::kHermes), "\"maybe\""));
  call.format = {.kind = Kind::kRegex, .source = "[0-9]{3}"};
  EXPECT_TRUE(takes(compiled(call, ToolFormat::kHermes), "123"));
  call.format = {.kind = Kind::kEbnf, .source = "root ::= \"a\" | \"b\""};
  EXPECT_TRUE(takes(compiled(call, ToolFormat::kHermes), "b"));
}

TEST(GenerateGrammar, NothingToHoldTo) {
  EXPECT_FALSE(choose_grammar({}, ToolFormat::kHermes, Start::kThinking).has_value());
  GenerateCall call = required();
  call.tool_choice = ToolChoice::kAuto;
  EXPECT_FALSE(choose_grammar(call, ToolFormat::kHermes, Start::kOff).has_value());
}

// Whoever asks for a schema to be kept has it kept in calls that nobody required.
TEST(GenerateGrammar, StrictToolsThatMayBeCalled) {
  GenerateCall call = required();
  call.tool_choice = ToolChoice::kAuto;
  call.tools[1].strict = true;
  for (const auto format : kFormats) {
    const bool told = !opening_of_calls(format).empty();
    EXPECT_EQ(choose_grammar(call, format, Start::kOff).has_value(), told);
    if (!told) continue;
    const auto grammar = compiled(call, format);
    EXPECT_TRUE(takes(grammar, "No <call, [TOOL or ``` is needed."));
    EXPECT_FALSE(takes(grammar, concat("Look: ", opening_of_calls(format))));
  }
  const auto grammar = compiled(call, ToolFormat::kHermes);
  const auto calling = [](std::string_view arguments) {
    return concat("Well. <tool_call>\n{\"name\": \"get\", \"arguments\": ", arguments,
                  "}\n</tool_call>");
  };
  EXPECT_TRUE(takes(grammar, calling(R"({"n": 12})")));
  EXPECT_FALSE(takes(grammar, calling(R"({"n": 100})")));
  EXPECT_FALSE(takes(grammar, calling(R"({})")));
  const auto thinking = compiled(call, ToolFormat::kHermes, Start::kThinking);
  EXPECT_TRUE(takes(thinking, concat("A <tool_call>?</think>\n\n", calling(R"({"n": 1})"))));
  EXPECT_TRUE(takes(thinking, "So.</think>Yes."));
  EXPECT_FALSE(takes(thinking, "</think>\n<tool_call>"));
}

// With tools that may be called, a format leaves room for calls.
TEST(GenerateGrammar, FormatOrCalls) {
  GenerateCall call = required();
  call.tool_choice = ToolChoice::kAuto;
  call.format = {.kind = Kind::kJsonSchema, .source = R"({"type":"integer"})"};
  auto grammar = compiled(call, ToolFormat::kHermes);
  EXPECT_TRUE(takes(grammar, "12"));
  EXPECT_TRUE(takes(grammar, "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>"));
  call.tool_choice = ToolChoice::kNone;
  grammar = compiled(call, ToolFormat::kHermes);
  EXPECT_FALSE(takes(grammar, "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>"));
}

TEST(GenerateGrammar, ThinkingComesFirst) {
  GenerateCall call;
  call.format = {.kind = Kind::kRegex, .source = "yes|no"};
  const auto may = compiled(call, ToolFormat::kHermes, Start::kAnswer);
  EXPECT_TRUE(takes(may, "yes"));
  EXPECT_TRUE(takes(may, "<think>\nWell </ <b>\n</think>\n\nno"));
  EXPECT_FALSE(takes(may, "<think>no"));
  EXPECT_FALSE(takes(may, "Well</think>no"));
  const auto must = compiled(call, ToolFormat::kHermes, Start::kThinking);
  EXPECT_TRUE(takes(must, "Well.\n</think>\nno"));
  EXPECT_FALSE(takes(must, "no"));
}

// Different wishes have different keys, equal ones the same.
TEST(GenerateGrammar, Keys) {
  std::vector<GenerateCall> calls(7);
  calls[0] = required();
  calls[1] = required(false);
  calls[2] = required();
  calls[2].tools.pop_back();
  calls[3].format = {.kind = Kind::kRegex, .source = "a"};
  calls[4].format = {.kind = Kind::kEbnf, .source = "a"};
  calls[5].format = {.kind = Kind::kJsonSchema, .source = "{}"};
  calls[6].format = {.kind = Kind::kJsonSchema, .source = "{}", .strict = true};
  std::set<std::string> keys;
  for (const auto& call : calls)
    for (const Start start : {Start::kOff, Start::kAnswer, Start::kThinking}) {
      const std::string key = choose_grammar(call, ToolFormat::kHermes, start)->key;
      EXPECT_TRUE(keys.insert(key).second) << key;
      EXPECT_EQ(key, choose_grammar(call, ToolFormat::kHermes, start)->key);
    }
}

// Forms that write each argument by itself hold each parameter's schema by itself: their number and
// what they repeat is bounded before anything is made of them.
TEST(GenerateGrammar, ManyParametersAreRefusedByName) {
  const auto tool = [](int properties, const std::string& schema, size_t definition_bytes) {
    std::string text = R"({"type":"object","properties":{)";
    for (int i = 0; i < properties; ++i) text += concat(i > 0 ? "," : "", "\"p", i, "\":", schema);
    GenerateCall call;
    call.tools = {{.name = "f",
                   .parameters = concat(text, R"(},"$defs":{"d":{"type":"string"},"unused":{")",
                                        std::string(definition_bytes, 'x'), R"(":1}}})")}};
    call.tool_choice = ToolChoice::kRequired;
    return call;
  };
  const char* const refers = R"({"$ref":"#/$defs/d"})";
  for (const ToolFormat format : {ToolFormat::kXml, ToolFormat::kPython}) {
    const auto source = [&](const GenerateCall& call) {
      return choose_grammar(call, format, Start::kOff)->source();
    };
    const auto many = source(tool(1001, "{}", 0));
    ASSERT_FALSE(many.ok());
    EXPECT_EQ(many.error().message,
              "tools[0].function.parameters.properties: want at most 1000, got 1001");
    EXPECT_EQ(many.error().param, "tools[0].function.parameters.properties");
    const auto repeated = source(tool(900, refers, 100'000));
    ASSERT_FALSE(repeated.ok());
    EXPECT_NE(repeated.error().message.find("want at most 4194304 bytes"), std::string::npos)
        << repeated.error().message;
    // Definitions stand only where something refers to them, and there they are found.
    EXPECT_TRUE(source(tool(900, R"({"type":"integer"})", 100'000)).ok());
    const auto few = compiled(tool(2, refers, 100'000), format);
    ASSERT_NE(few, nullptr);
    EXPECT_TRUE(takes(few, format == ToolFormat::kPython ? "[f(p0=\"a\", p1=\"b\")]"
                                                         : "<tool_call>\n<function=f>\n"
                                                           "<parameter=p0>\n\"a\"\n</parameter>\n"
                                                           "</function>\n</tool_call>"));
  }
  // More parameters than one block of shared tails, any of them first.
  const auto blocks = compiled(tool(80, R"({"type":"null"})", 0), ToolFormat::kPython);
  ASSERT_NE(blocks, nullptr);
  EXPECT_TRUE(takes(blocks, "[f(p0=null, p33=null, p79=null)]"));
  EXPECT_TRUE(takes(blocks, "[f(p40=null, p41=null, p72=null)]"));
  EXPECT_FALSE(takes(blocks, "[f(p41=null, p40=null)]"));
}

TEST(GenerateGrammar, FaultsNameTheirPlace) {
  const auto fault = [](const GenerateCall& call, ToolFormat format) {
    const auto source = choose_grammar(call, format, Start::kOff)->source();
    if (!source.ok()) return source.error();
    auto made = text::compile(*source, vocabulary());
    EXPECT_FALSE(made.ok());
    return made.ok() ? Error{} : made.error();
  };
  GenerateCall call = required();
  call.tools[1].parameters = R"({"type":"object","properties":{"a":{"$ref":"#/nowhere"}}})";
  for (const ToolFormat format : {ToolFormat::kHermes, ToolFormat::kPython}) {
    const Error error = fault(call, format);
    EXPECT_EQ(error.code, Code::kInvalidArgument);
    EXPECT_TRUE(error.param.starts_with("tools[1].function.parameters.properties.a"))
        << error.param;
  }
  call = {};
  call.format = {.kind = Kind::kJsonSchema,
                 .source = R"({"type":"object","properties":{"a":{"not":{}}}})",
                 .strict = true};
  EXPECT_EQ(fault(call, ToolFormat::kHermes).param,
            "response_format.json_schema.schema.properties.a.not");
  call.format.field = "guided_json";
  EXPECT_EQ(fault(call, ToolFormat::kHermes).param, "guided_json.properties.a.not");
}

}  // namespace
}  // namespace sis::tasks
