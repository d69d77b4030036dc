#include "serve/tasks/tool_calls.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "base/strings.h"

namespace sis::tasks {
namespace {

// What a client has after joining all deltas.
struct Said {
  std::string content;
  struct Call {
    std::string id, name, arguments;
  };
  std::vector<Call> calls;
  bool done = false;

  void add(const Delta& delta) {
    content += delta.content;
    for (const auto& piece : delta.tool_calls) {
      const auto index = static_cast<size_t>(piece.index);
      ASSERT_LE(index, calls.size());
      if (index == calls.size()) {
        ASSERT_FALSE(piece.id.empty());
        ASSERT_FALSE(piece.name.empty());
        calls.push_back({piece.id, piece.name, ""});
      } else {
        ASSERT_EQ(index + 1, calls.size()) << "a piece of a call that is over";
        ASSERT_TRUE(piece.id.empty() && piece.name.empty());
      }
      calls[index].arguments += piece.arguments;
    }
  }
  // "content|f{..}|g{..}"
  std::string summary() const {
    std::string text = content;
    for (const auto& call : calls) text += "|" + call.name + call.arguments;
    return text;
  }
};

const std::vector<Tool> kTools = {
    {.name = "f"},
    {.name = "g"},
    {.name = "get_weather",
     .parameters =
         R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}}})"},
};

Said parse(ToolFormat format, bool parallel, const std::vector<std::string>& pieces,
           bool required = false) {
  const auto parser = make_tool_call_parser({format, parallel, /*id_seed=*/5, required}, kTools);
  Said said;
  for (const auto& piece : pieces) {
    Delta delta;
    parser->push(piece, delta);
    said.add(delta);
  }
  Delta delta;
  parser->flush(delta);
  said.add(delta);
  said.done = parser->done();
  EXPECT_EQ(parser->calls(), static_cast<int32_t>(said.calls.size()));
  EXPECT_EQ(parser->held(), 0u);
  return said;
}

std::vector<std::string> cut(std::string_view text, Rng& rng, size_t piece_max) {
  std::vector<std::string> pieces;
  while (!text.empty()) {
    pieces.emplace_back(text.substr(0, 1 + rng.below(piece_max)));
    text.remove_prefix(pieces.back().size());
  }
  return pieces;
}

struct Case {
  ToolFormat format;
  const char *text, *want;  // want: Said::summary()
};

constexpr auto kHermes = ToolFormat::kHermes, kXml = ToolFormat::kXml, kPhi = ToolFormat::kPhi,
               kMistral = ToolFormat::kMistral, kLlama = ToolFormat::kLlama,
               kPython = ToolFormat::kPython, kToolCode = ToolFormat::kToolCode;

const Case kCases[] = {
    // Calls and the content around them.
    {kHermes, "Hello.", "Hello."},
    {kHermes, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>",
     "|f{\"a\": 1}"},
    {kHermes,
     "Let me see.\n<tool_call>\n{\"name\":\"f\",\"arguments\":{\"a\":[1,{\"b\":\"}\\\"\"}]}}\n"
     "</tool_call>\n<tool_call>{\"name\":\"g\"}</tool_call>\nDone.",
     "Let me see.\nDone.|f{\"a\":[1,{\"b\":\"}\\\"\"}]}|g{}"},
    {kHermes, R"(<tool_call>{"arguments": {"a": -1.5e3}, "id": 7, "name": "f"}</tool_call>)",
     R"(|f{"a": -1.5e3})"},
    {kHermes, R"(<tool_call>{"name":"f","arguments":null}</tool_call>)", "|f{}"},
    {kHermes, R"(<tool_call>{"name":"f","arguments":"{\"a\":\"x\"}"}</tool_call>)",
     R"(|f{"a":"x"})"},
    {kHermes, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":\"two\nlines\"}}</tool_call>",
     R"(|f{"a":"two\nlines"})"},
    {kHermes, R"(<tool_call>{"name":"\u0066","arguments":{}}</tool_call>)", "|f{}"},
    {kHermes, "a < b and <tool_ calls\u4e2d\U0001F600", "a < b and <tool_ calls\u4e2d\U0001F600"},
    // The end is missing or there is too much of it.
    {kHermes, R"(<tool_call>{"name":"f","arguments":{"a":1}})", R"(|f{"a":1})"},
    {kHermes, R"(<tool_call>{"name":"f","arguments":{"a":1}}}</tool_call> x)", R"( x|f{"a":1})"},
    {kHermes, R"(<tool_call>{"name":"f","arguments":{"a":1}</tool_call>)", R"(|f{"a":1})"},
    {kHermes, R"(<tool_call>{"name":"f","arguments":{"a":1}} ok</tool_call>)", R"( ok|f{"a":1})"},
    {kHermes, R"(<tool_call>{"name":"f","arguments":{"a":)", R"(|f{"a":)"},
    // No calls: given back whole.
    {kHermes, " <tool_call>\nfoo</tool_call>", " <tool_call>\nfoo</tool_call>"},
    {kHermes, R"(<tool_call>{"name":"f","arguments":[1]}</tool_call>)",
     R"(<tool_call>{"name":"f","arguments":[1]}</tool_call>)"},
    {kHermes, R"(<tool_call>{"name":"f","arguments":"{bad"}</tool_call>)",
     R"(<tool_call>{"name":"f","arguments":"{bad"}</tool_call>)"},
    {kHermes, R"(<tool_call>{"arguments":{"a":1}}</tool_call>)",
     R"(<tool_call>{"arguments":{"a":1}}</tool_call>)"},
    {kHermes, R"(<tool_call>{"name":"","arguments":{}}</tool_call>)",
     R"(<tool_call>{"name":"","arguments":{}}</tool_call>)"},
    {kHermes, R"(<tool_call>oops <tool_call>{"name":"f"}</tool_call>)", "<tool_call>oops|f{}"},
    {kHermes, R"({"name":"f","arguments":{}})", R"({"name":"f","arguments":{}})"},
    // Of other tools than the request's: passed on once they are complete.
    {kHermes, R"(<tool_call>{"name":"unknown","arguments":{}}</tool_call>)", "|unknown{}"},
    {kHermes, R"(<tool_call>{"arguments":{"a":1},"name":"unknown"}</tool_call> x)",
     R"( x|unknown{"a":1})"},
    {kHermes, R"(<tool_call>{"name":"unknown","arguments":{"a":}}</tool_call>)",
     R"(<tool_call>{"name":"unknown","arguments":{"a":}}</tool_call>)"},
    {kHermes, R"(<tool_call>{"name":"unknown","arguments":{"a":1)", ""},
    // Arguments that break off go on as they are to the end of the call.
    {kHermes, R"(<tool_call>{"name":"f","arguments":{"a":}}</tool_call> x)", R"( x|f{"a":}})"},
    // Mistral.
    {kMistral,
     R"([TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}])",
     R"(|f{"a": 1}|g{})"},
    {kMistral, R"(Ok. [TOOL_CALLS] [{"name":"f","arguments":{},"id":"123456789"}] x)", "Ok. x|f{}"},
    {kMistral, R"([TOOL_CALLS]f[ARGS]{"a": "x"}[TOOL_CALLS]g{"b":2})", R"(|f{"a": "x"}|g{"b":2})"},
    {kMistral, R"([TOOL_CALLS]f[CALL_ID]123456789[ARGS]{})", "|f{}"},
    {kMistral, R"([TOOL_CALLS]{"name":"f","arguments":{}})", "|f{}"},
    {kMistral, R"([TOOL_CALLS]h[ARGS]{"a": 1} x)", R"( x|h{"a": 1})"},
    {kMistral, "[TOOL_CALLS]h[ARGS]{1}", "[TOOL_CALLS]h[ARGS]{1}"},
    {kMistral, "[TOOL_CALLS]h{}", "[TOOL_CALLS]h{}"},
    {kMistral, "[TOOL_CALLS][ARGS]{}", "[TOOL_CALLS][ARGS]{}"},
    {kMistral, "[TOOL_CALLS][]", "[TOOL_CALLS][]"},
    {kMistral, R"([TOOL_CALLS][{"name":"f","arguments":{}}, oops)", ", oops|f{}"},
    {kMistral, "[TOOL] [1]", "[TOOL] [1]"},
    // Phi.
    {kPhi, R"(<|tool_call|>[{"name":"f","arguments":{"a":1}}]<|/tool_call|>)", R"(|f{"a":1})"},
    // Llama.
    {kLlama, R"({"name": "f", "parameters": {"a": 1}})", R"(|f{"a": 1})"},
    {kLlama, R"(<|python_tag|>{"name": "f", "parameters": {"a": 1}})", R"(|f{"a": 1})"},
    {kLlama, R"( {"type":"function","name":"f","parameters":{}}; {"name":"g","parameters":{}})",
     "|f{}|g{}"},
    {kLlama, R"({"name": "Alice", "age": 3})", R"({"name": "Alice", "age": 3})"},
    {kLlama, R"({"age": 3, "name": "f"})", R"({"age": 3, "name": "f"})"},
    {kLlama, R"({"name": "h", "parameters": {"a": 1}})", R"(|h{"a": 1})"},
    {kLlama, R"({"name": "Alice"})", R"({"name": "Alice"})"},
    {kLlama, R"({"name": "Alice", "parameters": "{}"})",
     R"({"name": "Alice", "parameters": "{}"})"},
    {kLlama, R"({"name": "Alice", "parameters": {"a")", R"({"name": "Alice", "parameters": {"a")"},
    {kLlama, R"(<|python_tag|>{"name": "h"})", "|h{}"},
    {kLlama, R"({"name": "f", "parameters": {}} and so on; {"name":"g"})",
     R"( and so on; {"name":"g"}|f{})"},
    {kLlama, R"(Like {"name": "f", "parameters": {}})", R"(Like {"name": "f", "parameters": {}})"},
    {kLlama, "<|python_tag|>print(1)", "<|python_tag|>print(1)"},
    // Python.
    {kPython, "[f(x=1), g()]", "|f{\"x\": 1}|g{}"},
    {kPython, "[f(x='it\\'s', y=\"a)]\", z=[True, None, {'k': (1, 2.)}],)]\n",
     R"(|f{"x": "it's", "y": "a)]", "z": [true, null, {"k": [1, 2.0]}]})"},
    {kPython, "[f(a='''x'\"y''', b='', c=\"\"\"\"\"\")]", R"(|f{"a": "x'\"y", "b": "", "c": ""})"},
    {kPython, "<|python_start|>[f()]<|python_end|>", "|f{}"},
    {kPython, "[1] and [2]", "[1] and [2]"},
    {kPython, "[link](http://x)", "[link](http://x)"},
    {kPython, "[h(x=1)]", "[h(x=1)]"},
    {kPython, "[f(1)]", "[f(1)]"},
    {kPython, "[f(x=g())]", "[f(x=g())]"},
    {kPython, "[f(x=1), oops]", ", oops]|f{\"x\": 1}"},
    {kPython, "[f(x=1), h(y=2)]", "|f{\"x\": 1}|h{\"y\": 2}"},
    {kPython, "<|python_start|>[h(x=1)]", "|h{\"x\": 1}"},
    {kPython, "[f(max-results=5, user.id='a', $top=1)]",
     R"(|f{"max-results": 5, "user.id": "a", "$top": 1})"},
    {kPython, R"([f(x="a\/b\ud83d\ude00c", y='\ud83d', z='\ud83d\u0041')])",
     "|f{\"x\": \"a/b\U0001F600c\", \"y\": \"\uFFFD\", \"z\": \"\uFFFDA\"}"},
    {kPython, R"([f(x="\ud83d\ude0")])", R"([f(x="\ud83d\ude0")])"},
    {kToolCode, "Sure:\n```tool_code\nf(x=\"\u4e2d\\n\")\n```", "Sure:|f{\"x\": \"\u4e2d\\n\"}"},
    {kToolCode, "```tool_code\nf()\ng(a=-1_000)\n```\nDone.", "\nDone.|f{}|g{\"a\": -1000}"},
    {kToolCode, "```tool_code\n[f(), g()]\n```", "|f{}|g{}"},
    {kToolCode, "```tool_code\nprint(1)\n```", "```tool_code\nprint(1)\n```"},
    {kToolCode, "```tool_code\nh(x=1)\n```", "|h{\"x\": 1}"},
    {kToolCode, "````tool_code\nf()```", "`|f{}"},
    // XML.
    {kXml,
     "Ok.\n<tool_call>\n<function=get_weather>\n<parameter=city>\n42\n</parameter>\n"
     "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>\n",
     R"(Ok.|get_weather{"city": "42", "days": 3})"},
    {kXml, "<function=f></function><function=g>\n<parameter=x>[1, 2]</parameter></function>",
     R"(|f{}|g{"x": [1, 2]})"},
    {kXml,
     "<function=f><parameter=x>1, 2</parameter><parameter=y>a \"b\"\n\nc</parameter></function>",
     R"(|f{"x": "1, 2", "y": "a \"b\"\n\nc"})"},
    {kXml, "<tool_call><function=h><parameter=x>1</parameter></function></tool_call>",
     R"(|h{"x": 1})"},
    {kXml, "<function=></function>", "<function=></function>"},
    {kXml, "<function=f>text</function>", "<function=f>text</function>"},
    {kXml, "<function=f><function=g></function>", "<function=f>|g{}"},
    {kXml, "<function=f></<tool_call><function=g></function>", "<function=f></|g{}"},
    // Tags in values, of each of the two ways to end one.
    {kXml,
     "<function=get_weather>\n<parameter=city>\na</parameter>b</function>\nc\n</parameter>\n"
     "<parameter=days>\n[\"</parameter>\", \"</function>\"]\n</parameter>\n</function>",
     R"(|get_weather{"city": "a</parameter>b</function>\nc", "days": ["</parameter>", "</function>"]})"},
    {kXml,
     "<function=f><parameter=x></function>\n</parameter><parameter=y>2</parameter></function>",
     R"(|f{"x": "</function>", "y": 2})"},
    {kXml, "<function=f>\n<parameter=x>\n</parameter>\n<parameter=y>\n\n</parameter>\n</function>",
     R"(|f{"x": "", "y": ""})"},
    // Nowhere does a line end the value that began as one.
    {kXml, "<function=f>\n<parameter=x>\n1</parameter></function>\n<function=g></function> x",
     " x|f{\"x\": 1}|g{}"},
    {kXml,
     "<function=f><parameter=x>\na</parameter>b\n</parameter><parameter=y>\n1</parameter>"
     "</function>",
     R"(|f{"x": "a</parameter>b", "y": 1})"},
};

TEST(ToolCalls, ParsesAndGivesBack) {
  for (const auto& [format, text, want] : kCases)
    EXPECT_EQ(parse(format, true, {text}).summary(), want) << text;
}

// The same whatever the pieces, ids included, wherever the text is cut.
TEST(ToolCalls, DoNotDependOnThePieces) {
  Rng rng{3};
  for (const auto& [format, text, want] : kCases) {
    const Said whole = parse(format, true, {text});
    for (int round = 0; round < 30; ++round) {
      const Said pieces = parse(format, true, cut(text, rng, round == 0 ? 1 : 8));
      ASSERT_EQ(pieces.summary(), whole.summary()) << text;
      for (size_t i = 0; i < whole.calls.size(); ++i)
        ASSERT_EQ(pieces.calls[i].id, whole.calls[i].id);
    }
    for (const bool required : {false, true})
      for (std::string_view rest = text; !rest.empty(); rest.remove_suffix(1))
        ASSERT_EQ(parse(format, true, cut(rest, rng, 1), required).summary(),
                  parse(format, true, {std::string(rest)}, required).summary())
            << rest;
  }
}

// Of a text that is cut where a call opens, nothing of the opening is content: not when half of its
// marker is there, nor the slightest beginning behind a call or where there must be one.
TEST(ToolCalls, NoOpeningIsContent) {
  const struct {
    ToolFormat format;
    const char *before, *opening;  // `opening`: what tells a call from other text
    const char *rest, *want;
  } answers[] = {
      {kHermes, "Ok.", "\n<tool_", R"(call>
{"name": "f", "arguments": {"a": 1}}
</tool_call>
<tool_call>
{"name": "g"}
</tool_call>
)",
       R"(Ok.|f{"a": 1}|g{})"},
      {kHermes, "", "<tool_",
       R"(call>{"arguments": {"a": 1}, "name": "f"}</tool_call></tool_call>)", R"(|f{"a": 1})"},
      {kHermes, "Ok.", "<tool_", R"(call>{"name": "other", "arguments": {"a": 1}}</tool_call>)",
       R"(Ok.|other{"a": 1})"},
      {kXml, "Ok.", "\n<tool_", R"(call>
<function=f>
<parameter=x>
1
</parameter>
</function>
</tool_call>
<function=g></function>)",
       R"(Ok.|f{"x": 1}|g{})"},
      {kMistral, "Ok.", " [TOOL_", R"(CALLS] [{"name": "f", "arguments": {}}, {"name": "g"}])",
       "Ok.|f{}|g{}"},
      {ToolFormat::kMistralArgs, "Ok.", "[TOOL_", R"(CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]g[ARGS]{})",
       R"(Ok.|f{"a": 1}|g{})"},
      {kPhi, "Ok.", "\n<|tool_", R"(call|>[{"name": "f", "arguments": {}}]<|/tool_call|>)",
       "Ok.|f{}"},
      {kLlama, "", R"( {"name": "f")", R"(, "parameters": {}}; {"name": "g", "parameters": {}})",
       "|f{}|g{}"},
      {kLlama, "", "<|pytho", R"(n_tag|>{"name": "f", "parameters": {}})", "|f{}"},
      {kPython, "", "[f(", "x=1), g()]\n", R"(|f{"x": 1}|g{})"},
      {kPython, "", "<|pytho", "n_start|>[f(x=1), g()]<|python_end|>", R"(|f{"x": 1}|g{})"},
      {kToolCode, "Ok.", "\n```too", "l_code\nf(x=1)\ng()\n```\n", R"(Ok.|f{"x": 1}|g{})"},
  };
  for (const auto& [format, before, opening, rest, want] : answers) {
    const std::string text = concat(before, opening, rest);
    const size_t certain = std::string_view(before).size() + std::string_view(opening).size();
    for (const bool required : {false, true}) {
      if (required && *before != 0) continue;
      for (size_t size = required ? 0 : certain; size <= text.size(); ++size) {
        const Said said = parse(format, true, {text.substr(0, size)}, required);
        ASSERT_EQ(said.content, before) << text.substr(0, size);
        ASSERT_TRUE(std::string_view(want).starts_with(said.summary())) << text.substr(0, size);
      }
      ASSERT_EQ(parse(format, true, {text}, required).summary(), want);
    }
    // A little less than that is text like any other, and stays.
    const std::string less = text.substr(0, certain - 1);
    EXPECT_EQ(parse(format, true, {less}).content, less);
  }
}

// What `dropped` may be: nothing, or the opening of a call that was not gone on with.
bool is_opening(std::string_view dropped) {
  dropped = trim(dropped);
  const std::string_view begins[] = {"<tool_",  "<func",  "[TOOL_", "<|tool_",
                                     "<|pytho", "```too", "{",      "["};
  return dropped.empty() || std::any_of(std::begin(begins), std::end(begins),
                                        [&](auto begin) { return dropped.starts_with(begin); });
}

// Random mixtures of the forms' parts: no crash, pieces make no difference, nothing is invented,
// and without a call the text comes back as it was, but for an opening at its end.
TEST(ToolCalls, AnyTextInAnyPieces) {
  const char* parts[] = {"<tool_call>",
                         "</tool_call>",
                         "{",
                         "}",
                         "\"name\"",
                         ":",
                         "\"f\"",
                         ",",
                         "\"arguments\"",
                         "\"parameters\"",
                         "{}",
                         "[",
                         "]",
                         "[TOOL_CALLS]",
                         "[ARGS]",
                         "<|python_tag|>",
                         "```tool_code",
                         "```",
                         "f(",
                         ")",
                         "x=1",
                         "\n",
                         " ",
                         "'",
                         "\"",
                         "\\",
                         "<function=f>",
                         "</function>",
                         "<parameter=x>",
                         "</parameter>",
                         "null",
                         "12",
                         "\u4e2d",
                         "text",
                         "{\"name\":\"f\",\"arguments\":{\"a\":1}}",
                         "f(x=1)",
                         "[f()]"};
  Rng rng{4};
  int with_calls = 0;
  for (int round = 0; round < 60000; ++round) {
    const auto format = static_cast<ToolFormat>(rng.below(8));
    std::string text;
    for (size_t i = rng.below(14); i > 0; --i) text += parts[rng.below(std::size(parts))];
    const Said whole = parse(format, true, {text});
    ASSERT_EQ(parse(format, true, cut(text, rng, 5)).summary(), whole.summary()) << text;
    if (whole.calls.empty()) {
      ASSERT_TRUE(text.starts_with(whole.content)) << text << " gave " << whole.content;
      ASSERT_TRUE(is_opening(std::string_view(text).substr(whole.content.size()))) << text;
    }
    with_calls += whole.calls.empty() ? 0 : 1;
  }
  EXPECT_GT(with_calls, 500);
}

// Without parallel calls the first one is the last thing said.
TEST(ToolCalls, OnlyTheFirstWhenAsked) {
  const Said said = parse(kHermes, false,
                          {"a <tool_call>{\"name\":\"f\"}</tool_call><tool_call>{\"name\":\"g\"}"});
  EXPECT_EQ(said.summary(), "a|f{}");
  EXPECT_TRUE(said.done);
  EXPECT_EQ(parse(kMistral, false, {R"([TOOL_CALLS][{"name":"f"},{"name":"g"}])"}).summary(),
            "|f{}");
  EXPECT_EQ(parse(kPython, false, {"[f(), g()]"}).summary(), "|f{}");
  EXPECT_EQ(parse(kXml, false, {"<function=f></function><function=g></function>"}).summary(),
            "|f{}");
  EXPECT_FALSE(parse(kHermes, false, {"none"}).done);
}

// Arguments come while they are written, not at their end.
TEST(ToolCalls, StreamsArguments) {
  const auto parser = make_tool_call_parser({kHermes, true, 1}, kTools);
  Delta delta;
  parser->push("<tool_call>{\"name\":\"f\",\"arguments\":{\"te", delta);
  ASSERT_EQ(delta.tool_calls.size(), 1u);
  EXPECT_EQ(delta.tool_calls[0].name, "f");
  EXPECT_EQ(delta.tool_calls[0].arguments, "{\"te");
  Delta next;
  parser->push("xt\":1", next);
  ASSERT_EQ(next.tool_calls.size(), 1u);
  EXPECT_EQ(next.tool_calls[0].arguments, "xt\":1");
  EXPECT_EQ(next.tool_calls[0].name, "");
}

TEST(ToolCalls, IdsAsTheFamilyWantsThem) {
  const Said hermes = parse(kHermes, true, {"<tool_call>{\"name\":\"f\"}</tool_call>"});
  EXPECT_EQ(hermes.calls[0].id.size(), 29u);
  EXPECT_TRUE(hermes.calls[0].id.starts_with("call_"));
  const Said mistral = parse(kMistral, true, {R"([TOOL_CALLS][{"name":"f"},{"name":"f"}])"});
  ASSERT_EQ(mistral.calls.size(), 2u);
  EXPECT_EQ(mistral.calls[0].id.size(), 9u);
  EXPECT_NE(mistral.calls[0].id, mistral.calls[1].id);
}

// All that is reported of a finished call parses, whatever the values.
TEST(ToolCalls, ArgumentsParse) {
  for (const auto& [format, text, want] : kCases)
    for (const auto& call : parse(format, true, {text}).calls) {
      if (std::string_view(text).find("{\"a\":}") != std::string_view::npos ||
          std::string_view(text).ends_with("{\"a\":"))
        continue;  // broken or cut off by the model
      EXPECT_TRUE(nlohmann::json::accept(call.arguments)) << call.arguments;
    }
}

// One long block of quotes, brackets or white space costs no more per byte than other text.
TEST(ToolCalls, LongTextsAreCheap) {
  for (int format = 0; format < 8; ++format)
    for (const char* unit : {" ", "\n", "<", "[", "\"", "{", "`", "<tool_call>", "[TOOL_CALLS]"}) {
      std::string text = format == 5 ? R"({"name":"f","parameters":{"a":")" : "";
      while (text.size() < (1u << 18)) text += unit;
      parse(static_cast<ToolFormat>(format), true, {text});
    }
}

TEST(ToolCalls, FormsOfTheGoldenTemplates) {
  const std::pair<const char*, ToolFormat> templates[] = {
      {"qwen2_5", kHermes}, {"qwen3", kHermes},         {"qwen3_vl", kHermes},
      {"llama3_1", kLlama}, {"llama3_2", kLlama},       {"mistral_v3", kMistral},
      {"gemma3", kLlama},   {"mistral_nemo", kMistral}, {"phi4_mini", kPhi}};
  for (const auto& [name, format] : templates) {
    std::ifstream file(std::string("tests/golden/chat_template/") + name + ".jinja");
    const std::string source((std::istreambuf_iterator<char>(file)), {});
    ASSERT_FALSE(source.empty()) << name;
    EXPECT_EQ(detect_tool_format(source), format) << name;
  }
  EXPECT_EQ(detect_tool_format("<tool_call>\n<function=x>"), kXml);
  EXPECT_EQ(detect_tool_format("```tool_code"), kToolCode);
  EXPECT_EQ(detect_tool_format("[TOOL_CALLS]f[ARGS]{}"), ToolFormat::kMistralArgs);
  EXPECT_EQ(detect_tool_format("[func_name1(params_name1=params_value1)]"), kPython);
}

}  // namespace
}  // namespace sis::tasks
