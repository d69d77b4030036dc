// Renders chat templates named by lines of standard input; a test program.
//
//   render_lines
//
// A line is a JSON object: {"template": text, "context": {...}} renders as it is;
// {"template": text, "messages": [...], ...} goes through apply_chat_template, with tools,
// documents, add_generation_prompt, continue_final_message, special_tokens and variables as
// members; "folder" in place of "template" loads a checkpoint's, "template_name" chooses among
// them. Printed per line: ["ok", text] or ["error", message]. strftime_now always says
// 2025-03-09 08:07:06.000005.
#include <cstdio>
#include <iostream>
#include <string>

#include "infer/text/chat_template/chat_request.h"
#include "infer/text/chat_template/json_text.h"

namespace {

using sis::text::tmpl::Kind;
using sis::text::tmpl::Value;

sis::text::tmpl::LocalTime fixed_time() {
  sis::text::tmpl::LocalTime now;
  now.time.tm_year = 125;
  now.time.tm_mon = 2;
  now.time.tm_mday = 9;
  now.time.tm_hour = 8;
  now.time.tm_min = 7;
  now.time.tm_sec = 6;
  now.time.tm_wday = 0;
  now.time.tm_yday = 67;
  now.microseconds = 5;
  return now;
}

sis::Result<std::string> render(const Value& job) {
  const auto member = [&](std::string_view name, Value fallback) {
    const Value* found = job.as_dict().find(name);
    return found != nullptr ? *found : fallback;
  };
  const sis::text::RenderOptions options{.now = fixed_time};
  const Value folder = member("folder", Value::none());
  sis::text::ChatTemplates templates;
  if (folder.is_string()) {
    SIS_ASSIGN(templates, sis::text::ChatTemplates::from_folder(std::string(folder.text())));
  } else {
    const std::string source(member("template", Value::string("")).text());
    SIS_ASSIGN(auto parsed, sis::text::ChatTemplate::parse(source));
    if (job.as_dict().find("messages") == nullptr)
      return parsed.render(member("context", Value::dict({})), options);
    templates = sis::text::ChatTemplates::from_template(std::move(parsed),
                                                        member("special_tokens", Value::dict({})));
  }
  const Value keep_going = member("continue_final_message", Value::none());
  sis::text::ChatRequest request;
  request.messages = member("messages", Value::none());
  request.tools = member("tools", Value::none());
  request.documents = member("documents", Value::none());
  request.add_generation_prompt = member("add_generation_prompt", Value::boolean(false)).as_bool();
  if (keep_going.is_string()) request.continue_final_message = keep_going.text();
  request.variables = member("variables", Value::dict({}));
  request.template_name = member("template_name", Value::string("")).text();
  return apply_chat_template(templates, request, options);
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    const auto job = sis::text::tmpl::from_json(line, "line", 140);
    if (!job || !job->is(Kind::kDict)) {
      std::cerr << "render_lines: " << (job ? "want an object" : job.error().message) << "\n";
      return 1;
    }
    const auto done = render(*job);
    const Value answer = Value::list(
        {Value::string(done ? "ok" : "error"), Value::string(done ? *done : done.error().message)});
    sis::text::tmpl::Meter meter(UINT64_MAX, UINT64_MAX);
    std::cout << sis::text::tmpl::to_json(answer, {.ensure_ascii = true}, meter) << std::endl;
  }
  return 0;
}
