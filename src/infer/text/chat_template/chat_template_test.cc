#include "infer/text/chat_template/chat_template.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "infer/text/chat_template/chat_request.h"
#include "infer/text/chat_template/json_text.h"

namespace sis::text {
namespace {

tmpl::Value json(std::string_view text) {
  auto value = tmpl::from_json(text, "test");
  EXPECT_TRUE(value.ok()) << (value ? "" : value.error().message);
  return value ? *value : tmpl::Value::dict({});
}

std::string render(std::string_view source, std::string_view context = "{}",
                   const RenderOptions& options = {}) {
  const auto parsed = ChatTemplate::parse(source);
  if (!parsed) return "parse error: " + parsed.error().message;
  const auto done = parsed->render(json(context), options);
  return done ? *done : "error: " + done.error().message;
}

// Tags on lines of their own leave nothing; '-' and '+' override that.
TEST(ChatTemplate, TrimsBlocksAsJinjaDoes) {
  EXPECT_EQ(render("a\n  {% if true %}\n  b\n  {% endif %}\nc\n"), "a\n  b\nc");
  EXPECT_EQ(render("a \n {%- if true -%} \n b {%+ endif +%}\nc"), "ab \nc");
  EXPECT_EQ(render("{{ 1 }}\n{# x #}\n{{ 2 }}"), "1\n2");
}

// Values print as Python's str() and repr(); tojson as json.dumps.
TEST(ChatTemplate, PrintsAsPython) {
  EXPECT_EQ(render("{{ [1, 2.0, 1e22, none, true, \"it's\", {'a': (1,)}] }}"),
            "[1, 2.0, 1e+22, None, True, \"it's\", {'a': (1,)}]");
  EXPECT_EQ(render("{{ x|tojson }}", R"({"x":{"b":[1,2.5,"é\n"],"a":12345678901234567890}})"),
            R"({"b": [1, 2.5, "é\n"], "a": 12345678901234567890})");
}

// Integers beyond 64 bits are shown, not computed with.
TEST(ChatTemplate, ShowsBigIntegers) {
  EXPECT_EQ(render("{{ x }} {{ x.real }} {{ '%d %g' % (x, x) }}", R"({"x":12345678901234567890})"),
            "12345678901234567890 12345678901234567890 12345678901234567890 1.23457e+19");
  EXPECT_EQ(
      render("{{ x + 1 }}", R"({"x":12345678901234567890})"),
      "error: chat template, line 1: computing with integers beyond 64 bits is not supported");
}

// What is set in a loop ends with the turn, except in a namespace.
TEST(ChatTemplate, ScopesAreJinjas) {
  EXPECT_EQ(render("{% set x = 0 %}{% set n = namespace(x=0) %}{% for i in [1, 2] %}{{ x }}"
                   "{% set x = i %}{% set n.x = i %}{% endfor %}{{ x }}{{ n.x }}"),
            "0002");
}

// The filtered loop counts itself, which looks ahead.
TEST(ChatTemplate, FilteredLoopKnowsItsLength) {
  EXPECT_EQ(render("{% for i in range(6) if i is odd %}{{ i }}/{{ loop.length }}"
                   "{{ ';' if not loop.last }}{% endfor %}"),
            "1/3;3/3;5/3");
}

// Errors carry the line and the template's own message.
TEST(ChatTemplate, ErrorsNameTheLine) {
  EXPECT_EQ(render("\n\n{{ raise_exception('roles must alternate') }}"),
            "error: chat template, line 3: roles must alternate");
  EXPECT_EQ(render("{{ x.y.z }}", R"({"x":{}})"),
            "error: chat template, line 1: 'dict object' has no attribute 'y'");
  EXPECT_EQ(render("{% macro f() %}{% endmacro %}{{ f.y.z }}"),
            "error: chat template, line 1: 'jinja2.runtime.Macro object' has no attribute 'y'");
  EXPECT_EQ(render("{{ {}.items().y.z }}"),
            "error: chat template, line 1: 'dict_items object' has no attribute 'y'");
  EXPECT_EQ(render("a\n{% include 'x' %}"),
            "parse error: chat template, line 2: {% include %} is not supported in chat templates");
}

// Hostile templates end with kTooLarge instead of time, memory or the stack.
TEST(ChatTemplate, HostileTemplatesAreStopped) {
  const std::string_view hostile[] = {
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{% set n = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(99) %}"
      "{% set n.x = n.x ~ n.x %}{% endfor %}",
      "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}"
      "{% endfor %}{{ n.x }}",
      "{% set n = namespace(x=1) %}{% set n.x = n %}{{ n }}",
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{{ 'a' * 999999999 }}",
      "{{ '%999999999d' % 1 }}",
  };
  for (std::string_view source : hostile) {
    const auto parsed = ChatTemplate::parse(source);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    const auto done = parsed->render(json("{}"));
    ASSERT_FALSE(done.ok()) << source;
    EXPECT_EQ(done.error().code, Code::kTooLarge) << source << done.error().message;
  }
  EXPECT_FALSE(ChatTemplate::parse("{{ " + std::string(5000, '(')).ok());
  EXPECT_FALSE(ChatTemplate::parse(std::string("{{ ") + std::string(5000, '-') + "1 }}").ok());
}

ChatRequest request(std::string_view messages) {
  ChatRequest made;
  made.messages = json(messages);
  return made;
}

ChatTemplates chatml() {
  auto parsed = ChatTemplate::parse(
      "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"
      "{% if add_generation_prompt %}<assistant>{% endif %}");
  EXPECT_TRUE(parsed.ok());
  return ChatTemplates::from_template(std::move(parsed).value(), json(R"({"bos_token":"[B]"})"));
}

TEST(ChatRequest, GenerationPromptAndContinuation) {
  const ChatTemplates templates = chatml();
  ChatRequest chat =
      request(R"([{"role":"user","content":"hi"},{"role":"assistant","content":"Well "}])");
  chat.add_generation_prompt = true;
  EXPECT_EQ(*apply_chat_template(templates, chat), "[B]<user>hi</><assistant>Well </><assistant>");
  chat.continue_final_message = "content";
  EXPECT_FALSE(apply_chat_template(templates, chat).ok());  // one or the other
  chat.add_generation_prompt = false;
  EXPECT_EQ(*apply_chat_template(templates, chat), "[B]<user>hi</><assistant>Well ");
  EXPECT_FALSE(apply_chat_template(templates, request("[]")).ok());
}

// A folder's templates and tokens; files win over the configuration.
TEST(ChatTemplates, AreReadFromAFolder) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / concat("sis_templates_", ::getpid());
  fs::create_directories(folder);
  std::ofstream(folder / "tokenizer_config.json")
      << R"({"bos_token":{"content":"<s>"},"eos_token":"</s>","chat_template":[)"
      << R"({"name":"default","template":"D"},{"name":"tool_use","template":"T"}]})";
  auto loaded = ChatTemplates::from_folder(folder.string());
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(*(*loaded->choose("", true))->render(loaded->special_tokens()), "T");
  EXPECT_EQ(*(*loaded->choose("", false))->render(loaded->special_tokens()), "D");
  EXPECT_FALSE(loaded->choose("nope", false).ok());
  std::ofstream(folder / "chat_template.jinja") << "{{ bos_token }}J{{ eos_token }}";
  loaded = ChatTemplates::from_folder(folder.string());
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(*(*loaded->choose("", true))->render(loaded->special_tokens()), "<s>J</s>");
  fs::remove_all(folder);
}

// special_tokens_map.json wins, and takes tokens away, unless the configuration lists added tokens.
TEST(ChatTemplates, OlderTokenMapsCountOnlyWithoutAddedTokens) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / concat("sis_token_maps_", ::getpid());
  fs::create_directories(folder);
  std::ofstream(folder / "chat_template.jinja") << "{{ bos_token }}|{{ eos_token }}";
  std::ofstream(folder / "special_tokens_map.json")
      << R"({"bos_token":null,"eos_token":{"content":"map"}})";
  const auto shown = [&](std::string_view config) {
    std::ofstream(folder / "tokenizer_config.json") << config;
    const auto loaded = ChatTemplates::from_folder(folder.string());
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return *(*loaded->choose("", false))->render(loaded->special_tokens());
  };
  EXPECT_EQ(shown(R"({"bos_token":"a","eos_token":"b"})"), "|map");
  EXPECT_EQ(shown(R"({"bos_token":"a","eos_token":"b","added_tokens_decoder":{}})"), "a|b");
  fs::remove_all(folder);
}

}  // namespace
}  // namespace sis::text
