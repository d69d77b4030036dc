#include "serve/tasks/generate_grammar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

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

TEST(GenerateGrammar, FaultsAreWhereTheRequestHasThem) {
  GenerateCall call = required();
  call.tools.erase(call.tools.begin());
  call.tools[0] = {.name = "get",
                   .parameters = R"({"type":"object","properties":{"x":{"uniqueItems":true}}})",
                   .strict = true,
                   .place = "functions[1]"};
  const auto source = choose_grammar(call, ToolFormat::kHermes, Start::kOff)->source();
  ASSERT_TRUE(source.ok());
  const auto made = text::compile(*source, vocabulary());
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().param, "functions[1].parameters.properties.x.uniqueItems");
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
  EXPECT_NE(compiled(tool(1000, R"({"type":"string"})", 0), ToolFormat::kXml), nullptr);
  // More parameters than one block of shared tails, any of them first.
  const auto blocks = compiled(tool(80, R"({"type":"null"})", 0), ToolFormat::kPython);
  ASSERT_NE(blocks, nullptr);
  EXPECT_TRUE(takes(blocks, "[f(p0=null, p33=null, p79=null)]"));
  EXPECT_TRUE(takes(blocks, "[f(p40=null, p41=null, p72=null)]"));
  EXPECT_FALSE(takes(blocks, "[f(p41=null, p40=null)]"));
}

GenerateCall one_tool(std::string parameters, bool strict = false) {
  GenerateCall call;
  call.tools = {{.name = "f", .parameters = std::move(parameters), .strict = strict}};
  call.tool_choice = ToolChoice::kRequired;
  return call;
}
std::string xml_value(std::string_view name, std::string_view value) {
  return concat("<parameter=", name, ">\n", value, "\n</parameter>\n");
}
std::string xml_text(std::string_view parameters) {
  return concat("<tool_call>\n<function=f>\n", parameters, "</function>\n</tool_call>");
}

// Some text of the signs that the forms are made of.
std::string random_markup(Rng& rng) {
  constexpr std::string_view kParts[] = {"<",           "</",
                                         "</parameter", "</parameter>",
                                         "</function>", "</tool_call>",
                                         "\n",          "\n",
                                         "\n\n",        "<parameter=n>",
                                         "<function=f", "a",
                                         " ",           "42",
                                         "\"",          "'",
                                         "\\",          "/",
                                         "\\u0041",     "\u4e2d",
                                         "\U0001F600",  ")",
                                         "(",           "[",
                                         "]",           "{",
                                         "}",           ", ",
                                         "=",           "```",
                                         "\t",          "<div>\n</div>",
                                         "null",        "\"\"\"",
                                         "#",           "\r"};
  std::string text;
  for (size_t i = rng.below(7); i > 0; --i) text += kParts[rng.below(std::size(kParts))];
  return text;
}
nlohmann::ordered_json random_json(Rng& rng, int depth) {
  switch (rng.below(depth > 0 ? 7 : 5)) {
    case 0:
      return nullptr;
    case 1:
      return rng.below(2) == 0;
    case 2:
      return static_cast<int64_t>(rng.below(2000)) - 1000;
    case 3:
      return (static_cast<double>(rng.below(2000)) - 1000) / 8;
    case 4:
      return random_markup(rng);
    case 5: {
      auto list = nlohmann::ordered_json::array();
      for (size_t i = rng.below(4); i > 0; --i) list.push_back(random_json(rng, depth - 1));
      return list;
    }
    default: {
      auto object = nlohmann::ordered_json::object();
      for (size_t i = rng.below(4); i > 0; --i)
        object[random_markup(rng)] = random_json(rng, depth - 1);
      return object;
    }
  }
}
// In one of the ways to write JSON.
std::string random_spelling(const nlohmann::ordered_json& value, Rng& rng) {
  const std::string plain = value.dump(-1, ' ', /*ensure_ascii=*/rng.below(2) == 0);
  if (rng.below(2) == 0) return plain;
  std::string slashes;
  for (const char c : plain) slashes += c == '/' ? "\\/" : std::string(1, c);
  return slashes;
}

// Random arguments, written in the two forms that write each by itself: the grammar takes the text
// and the parser finds the one call with these very arguments.
TEST(GenerateGrammar, ArgumentsComeBackFromTheirForms) {
  constexpr std::string_view kEnd = "\n</parameter>";
  const GenerateCall call = one_tool(
      R"({"type":"object","required":["x","a-b.c"],"properties":{"x":{"type":"string"},"a-b.c":{},
          "unit":{"enum":["C","</parameter>","a\n</parameter>b",""]},
          "code":{"type":"string","enum":["a</parameter>","\n","</function>"]},
          "s":{"type":"string"},"n":{"type":["number","string","object","array"]}}})");
  const auto xml = compiled(call, ToolFormat::kXml), python = compiled(call, ToolFormat::kPython);
  ASSERT_TRUE(xml != nullptr && python != nullptr);
  const nlohmann::ordered_json properties =
      nlohmann::ordered_json::parse(call.tools[0].parameters)["properties"];
  Rng rng{77};
  int plain = 0;
  for (int round = 0; round < 3000; ++round) {
    nlohmann::ordered_json arguments = nlohmann::ordered_json::object();
    std::string tags, required, optional;
    for (const auto& [name, schema] : properties.items()) {
      if (name != "x" && name != "a-b.c" && rng.below(2) == 0) continue;
      nlohmann::ordered_json value = random_json(rng, 2);
      if (name == "x" || name == "s") value = random_markup(rng);
      if (schema.contains("enum")) value = schema["enum"][rng.below(schema["enum"].size())];
      if (name == "n" && (value.is_null() || value.is_boolean())) value = 5;
      bool as_it_is = name == "x" || name == "s" || name == "code";
      // What no line can end, the form has no way to write.
      if (as_it_is && ("\n" + value.get<std::string>()).find(kEnd) != std::string::npos) value = "";
      plain += as_it_is ? 1 : 0;
      // A value that an enum lists has one spelling.
      const std::string json = schema.contains("enum") ? value.dump() : random_spelling(value, rng);
      tags += xml_value(name, as_it_is ? value.get<std::string>() : json);
      std::string& list = name == "x" || name == "a-b.c" ? required : optional;
      list += concat(", ", name, "=", json);
      arguments[name] = value;
    }
    for (const auto& [format, grammar, text] :
         {std::tuple(ToolFormat::kXml, xml, xml_text(tags)),
          std::tuple(ToolFormat::kPython, python,
                     concat("[f(", (required + optional).substr(2), ")]"))}) {
      ASSERT_TRUE(takes(grammar, text)) << text;
      const Parsed parsed = parse(format, call.tools, text);
      EXPECT_EQ(parsed.content, "") << text;
      ASSERT_EQ(parsed.calls.size(), 1u) << text;
      // Members of objects may come in any order.
      EXPECT_EQ(nlohmann::json::parse(parsed.calls[0].second), nlohmann::json(arguments)) << text;
    }
  }
  EXPECT_GT(plain, 3000);
}

// The other way round: of all that the grammar takes there is nothing that the parser does not take
// for one call, whatever tags are in it and however it is cut.
TEST(GenerateGrammar, MarkupInXmlValuesIsRead) {
  for (const bool strict : {false, true}) {
    const GenerateCall call = one_tool(
        R"({"type":"object","required":["x"],"properties":{"x":{"type":"string"},
            "a":{"type":"string","minLength":1},"b":{"type":"string","minLength":2,"maxLength":30},
            "c":{"type":"string","pattern":"^[a-z/>=]*$"},"n":{"type":"integer"}}})",
        strict);
    const auto grammar = compiled(call, ToolFormat::kXml);
    ASSERT_NE(grammar, nullptr);
    Rng rng{78};
    int taken = 0;
    for (int round = 0; round < 20000; ++round) {
      std::string tags = xml_value("x", random_markup(rng));
      for (const char* name : {"a", "b", "c"})
        if (rng.below(3) == 0) tags += xml_value(name, random_markup(rng));
      if (rng.below(3) == 0) tags.erase(tags.size() - 1 - rng.below(14), 1);
      const std::string text = xml_text(tags);
      if (!takes(grammar, text)) continue;
      ++taken;
      const auto parser = make_tool_call_parser({.format = ToolFormat::kXml}, call.tools);
      Delta delta;
      for (size_t at = 0, size = 0; at < text.size(); at += size) {
        size = 1 + rng.below(9);
        parser->push(text.substr(at, size), delta);
      }
      EXPECT_EQ(parser->held(), 0u) << text;
      parser->flush(delta);
      EXPECT_EQ(delta.content, "") << text;
      ASSERT_EQ(delta.tool_calls.size(), 1u) << text;
    }
    EXPECT_GT(taken, 2000) << strict;
  }
}

// A value may be empty in two ways and holds any tag but the one that ends it.
TEST(GenerateGrammar, XmlValuesEndWithTheLineOfTheirTag) {
  const auto grammar = compiled(
      one_tool(R"({"type":"object","properties":{"x":{"type":"string"}}})"), ToolFormat::kXml);
  for (const char* value :
       {"", "\n", "<", "</div>\n", "a</parameter>", "\n\n<\n</par", "</parameter </parameter>"})
    EXPECT_TRUE(takes(grammar, xml_text(xml_value("x", value)))) << value;
  EXPECT_TRUE(takes(grammar, xml_text("<parameter=x>\n</parameter>\n")));
  EXPECT_FALSE(takes(grammar, xml_text(xml_value("x", "</parameter>b"))));
  EXPECT_FALSE(takes(grammar, xml_text(xml_value("x", "a\n</parameter>b"))));
  EXPECT_FALSE(takes(grammar, xml_text("<parameter=x>\na</parameter>\n")));
}

// The parameters may be listed in a definition that the schema refers to.
TEST(GenerateGrammar, SchemasThatReferToTheirParameters) {
  for (const bool strict : {false, true}) {
    const GenerateCall call = one_tool(
        R"({"$ref":"#/$defs/B","$defs":{"B":{"$ref":"#/$defs/A"},"Q":{"type":"integer"},
            "A":{"type":"object","properties":{"q":{"$ref":"#/$defs/Q"},"s":{"type":"string"}},
                 "required":["q"],"additionalProperties":false}}})",
        strict);
    const auto xml = compiled(call, ToolFormat::kXml), python = compiled(call, ToolFormat::kPython);
    EXPECT_FALSE(takes(xml, xml_text("")));
    EXPECT_FALSE(takes(xml, xml_text(xml_value("q", "x"))));
    EXPECT_FALSE(takes(python, "[f()]"));
    EXPECT_TRUE(takes(python, "[f(q=1, s=\"2\")]"));
    const std::string text = xml_text(xml_value("q", "1") + xml_value("s", "2"));
    EXPECT_TRUE(takes(xml, text));
    const Parsed parsed = parse(ToolFormat::kXml, call.tools, text);
    ASSERT_EQ(parsed.calls.size(), 1u);
    EXPECT_EQ(parsed.calls[0].second, R"({"q": 1, "s": "2"})");
  }
}

// What these forms do not follow of a schema is refused by name in strict tools, and left out in
// others.
TEST(GenerateGrammar, StrictToolsAreFollowedOrRefused) {
  constexpr auto kXml = ToolFormat::kXml, kPython = ToolFormat::kPython;
  const auto source = [](const std::string& parameters, ToolFormat format, bool strict) {
    const GenerateCall call = one_tool(parameters, strict);
    return choose_grammar(call, format, Start::kOff)->source();
  };
  const std::tuple<const char*, const char*, std::vector<ToolFormat>> kRefused[] = {
      {R"({"type":"object","minProperties":1})", ".minProperties", {kXml, kPython}},
      {R"({"type":"object","additionalProperties":{"type":"integer"}})",
       ".additionalProperties",
       {kXml, kPython}},
      {R"({"properties":{"q":{}},"not":{"type":"null"}})", ".not", {kXml, kPython}},
      {R"({"properties":{"q":{}},"required":["q","r"]})", ".required", {kXml, kPython}},
      {R"({"$ref":"#/$defs/A","$defs":{"A":{"properties":{},"maxProperties":1}}})",
       ".$defs.A.maxProperties",
       {kXml, kPython}},
      {R"({"$ref":"#/$defs/A","minProperties":1,"$defs":{"A":{}}})",
       ".minProperties",
       {kXml, kPython}},
      {R"({"properties":{"a b":{}}})", ".properties.a b", {kPython}},
      {R"({"properties":{"a>b":{}}})", ".properties.a>b", {kXml, kPython}},
      {R"({"properties":{"x":{"type":"string","not":{"const":"a"}}}})",
       ".properties.x.not",
       {kXml, kPython}},
      {R"({"properties":{"x":{"type":"string","pattern":"[a-z]+"}}})",
       ".properties.x.pattern",
       {kXml}},
      {R"({"properties":{"x":{"type":"string","pattern":"^[^a]$"}}})",
       ".properties.x.pattern",
       {kXml}},
      {R"({"properties":{"x":{"type":"string","format":"json-pointer"}}})",
       ".properties.x.format",
       {kXml}},
      {R"({"properties":{"x":{"type":"string","format":"odd"}}})",
       ".properties.x.format",
       {kXml, kPython}},
      {R"({"properties":{"x":{"type":"string","maxLength":2,"pattern":"^[a-z]+$"}}})",
       ".properties.x.maxLength",
       {kXml}},
      {R"({"properties":{"x":{"enum":["a","bc"],"maxLength":1}}})",
       ".properties.x.maxLength",
       {kXml}},
  };
  for (const auto& [parameters, place, formats] : kRefused)
    for (const ToolFormat format : {kXml, kPython}) {
      auto made = source(parameters, format, true);
      Error error;
      if (!made.ok())
        error = made.error();
      else if (const auto grammar = text::compile(*made, vocabulary()); !grammar.ok())
        error = grammar.error();  // of a parameter's own schema
      if (std::find(formats.begin(), formats.end(), format) == formats.end()) {
        EXPECT_EQ(error.message, "") << parameters;
      } else {
        EXPECT_EQ(error.code, Code::kInvalidArgument);
        EXPECT_EQ(error.param, concat("tools[0].function.parameters", place)) << error.message;
        EXPECT_TRUE(error.message.starts_with(error.param)) << error.message;
      }
      EXPECT_NE(compiled(one_tool(parameters), format), nullptr) << parameters;
    }
  // These are refused whether strict or not.
  for (const bool strict : {false, true})
    for (const char* parameters : {R"({"$ref":"#/$defs/B","$defs":{}})", R"({"$ref":"#"})",
                                   R"({"$ref":"#/$defs/A","$defs":{"A":{"$ref":"#/$defs/A"}}})"}) {
      const auto made = source(parameters, kXml, strict);
      ASSERT_FALSE(made.ok()) << parameters;
      EXPECT_TRUE(made.error().param.ends_with(".$ref")) << made.error().param;
    }
  EXPECT_FALSE(source(R"({"properties":{"a>b":{}},"required":["a>b"]})", kXml, false).ok());
}

TEST(GenerateGrammar, StrictXmlTextsFollowTheirSchemas) {
  const auto takes_value = [](const char* schema, std::string_view value, bool strict = true) {
    const auto grammar = compiled(
        one_tool(concat(R"({"type":"object","title":"t","properties":{"x":)", schema, "}}"),
                 strict),
        ToolFormat::kXml);
    return grammar != nullptr && takes(grammar, xml_text(xml_value("x", value)));
  };
  const struct {
    const char* schema;
    std::vector<const char*> good, bad;
  } kCases[] = {
      {R"({"type":"string","pattern":"^[a-z]+$"})", {"a", "abc"}, {"", "LONG 123", "a1", "a\n"}},
      {R"({"type":"string","format":"date","description":"d"})", {"2024-02-29"}, {"2023-02-29"}},
      {R"({"type":"string","maxLength":2})", {"", "a\n", "\u4e2d\u4e2d"}, {"abc", "\n\n\n"}},
      {R"({"type":"string","maxLength":0})", {""}, {"a"}},
      {R"({"type":"string","minLength":1})", {"a", "<b>\n", "\n</a"}, {""}},
      {R"({"type":"string","minLength":3})", {"abc", "a<b\t", "\n\na"}, {"", "ab", "\n\n"}},
      {R"({"type":"string","minLength":2,"maxLength":3})", {"ab", "a<b"}, {"", "a", "abcd"}},
      {R"({"type":"string","minLength":0,"format":"int64"})", {"", "any\n<b>"}, {}},
      {R"({"type":"string","const":"a"})", {"\"a\""}, {"a", "b"}},
      {R"({"type":"string","enum":["a","b c"]})", {"a", "b c"}, {"", "c"}},
  };
  for (const auto& [schema, good, bad] : kCases) {
    for (const char* value : good) EXPECT_TRUE(takes_value(schema, value)) << schema << value;
    for (const char* value : bad) EXPECT_FALSE(takes_value(schema, value)) << schema << value;
  }
  // Left out where a tool is not strict.
  EXPECT_TRUE(takes_value(R"({"type":"string","maxLength":2,"pattern":"^[a-z]+$"})", "LONG 123",
                          /*strict=*/false));
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
