// Prompts that transformers made (tools/golden/make_chat_templates.py) come out the same.
#include <gtest/gtest.h>

#include <fstream>

#include "infer/text/chat_template/chat_request.h"
#include "infer/text/chat_template/json_text.h"

namespace sis::text {
namespace {

using tmpl::Value;

TEST(ChatTemplateGolden, PromptsAreTheOriginals) {
  const std::string folder = "tests/golden/chat_template/";
  std::ifstream lines(folder + "expected.jsonl");
  int checked = 0;
  for (std::string line; std::getline(lines, line); ++checked) {
    const auto job = tmpl::from_json(line, "expected.jsonl");
    ASSERT_TRUE(job.ok()) << job.error().message;
    const auto member = [&](std::string_view name) {
      const Value* found = job->as_dict().find(name);
      return found != nullptr ? *found : Value::none();
    };
    const std::string name(member("file").text());
    std::ifstream file(folder + name);
    auto parsed = ChatTemplate::parse(std::string{std::istreambuf_iterator<char>(file), {}});
    ASSERT_TRUE(parsed.ok()) << name << parsed.error().message;
    ChatRequest request;
    request.messages = member("messages");
    request.tools = member("tools");
    request.documents = member("documents");
    request.add_generation_prompt = member("add_generation_prompt").as_bool();
    request.variables = member("variables");
    const Value keep_going = member("continue_final_message");
    if (keep_going.is_string()) request.continue_final_message = keep_going.text();
    const RenderOptions options{.now = [] {
      tmpl::LocalTime now;
      now.time.tm_year = 125;
      now.time.tm_mon = 2;
      now.time.tm_mday = 9;
      return now;
    }};
    const auto prompt = apply_chat_template(
        ChatTemplates::from_template(std::move(parsed).value(), member("special_tokens")), request,
        options);
    ASSERT_TRUE(prompt.ok()) << name << " line " << checked + 1 << ": " << prompt.error().message;
    EXPECT_EQ(*prompt, member("want").text()) << name << " line " << checked + 1;
  }
  EXPECT_GE(checked, 70);
}

}  // namespace
}  // namespace sis::text
