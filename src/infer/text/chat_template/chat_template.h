// A chat template: text with Jinja tags that turns a conversation into a model's prompt.
//
// The language is what Jinja2 gives chat templates inside transformers (an immutable sandbox with
// trim_blocks, lstrip_blocks, loop controls and generation blocks), printed as Python prints. What
// it lacks is refused when parsing. docs/chat-templates.md lists both. Messages, tools and the
// choice among several templates are apply_chat_template's (chat_request.h).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "infer/text/chat_template/interpreter.h"
#include "infer/text/chat_template/value.h"

namespace sis::text {

namespace tmpl {
struct Program;
}

struct TemplateLimits {
  size_t source_bytes = 1 << 20;
  size_t tokens = 200'000;
};

// A template that reaches one of these ends with kTooLarge.
struct RenderLimits {
  uint64_t steps = 20'000'000;        // some seconds at most
  uint64_t built_bytes = 256u << 20;  // of all text and lists made on the way
  size_t output_bytes = 32u << 20;
  int call_depth = 100;             // macros and recursive loops in one another
  size_t stack_bytes = 512u << 10;  // of the calling thread
};

struct RenderOptions {
  RenderLimits limits;
  std::function<tmpl::LocalTime()> now;  // for strftime_now; the system's clock when empty
};

class ChatTemplate {
 public:
  static Result<ChatTemplate> parse(std::string_view source, const TemplateLimits& limits = {});

  // `context` is a dict of the variables the template sees. Any thread.
  Result<std::string> render(const tmpl::Value& context, const RenderOptions& options = {}) const;

  const std::string& source() const { return source_; }

 private:
  std::string source_;
  std::shared_ptr<const tmpl::Program> program_;  // shared by copies, never changed
};

}  // namespace sis::text
