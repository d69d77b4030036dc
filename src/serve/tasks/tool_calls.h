// Finds the tool calls in what a model says, in the form its family was trained to write them.
//
// The text before and after calls stays content, without the white space between the two. A call
// begins to be reported when its name and the beginning of its arguments are read, that of a tool
// the request does not have when it is complete. What turns out not to be a call before that is
// given back as content with nothing lost; JSON arguments that break off later are passed on as
// they come, for their client to judge, up to the end of the call. Where the text ends in the
// opening of a call, that is dropped. Byte by byte: what comes out does not depend on how the text
// is split. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serve/tasks/generate.h"
#include "serve/tasks/stop_text.h"

namespace sis::tasks {

enum class ToolFormat : uint8_t {
  kHermes,   // <tool_call>{"name": .., "arguments": ..}</tool_call>
  kXml,      // <tool_call><function=name><parameter=key>value</parameter></function></tool_call>
  kMistral,  // [TOOL_CALLS][{"name": .., "arguments": ..}]
  kMistralArgs,  // [TOOL_CALLS]name[ARGS]{..}; both are read as either
  kPhi,          // <|tool_call|>[{"name": .., "arguments": ..}]<|/tool_call|>
  kLlama,        // {"name": .., "parameters": ..} as the whole answer, maybe after <|python_tag|>
  kPython,       // [name(key=value), ..] as the whole answer
  kToolCode,     // ```tool_code, name(key=value), ```
};

// What ToolFormat::kToolCode begins with; no tokenizer has it as a token.
inline constexpr std::string_view kToolCodeOpening = "```tool_code";

// From the text of a model's chat template. A template that shows tools in none of these forms, or
// none at all, gives kLlama: JSON that names a tool is a call.
ToolFormat detect_tool_format(std::string_view template_source);

// Texts that may be special tokens of the tokenizer and must not be skipped while calls are sought.
std::span<const std::string_view> tool_markers(ToolFormat format);

class ToolCallParser {
 public:
  virtual ~ToolCallParser() = default;

  // Appends to `delta` what is certain by now.
  virtual void push(std::string_view text, Delta& delta) = 0;
  virtual void flush(Delta& delta) = 0;

  virtual int32_t calls() const = 0;  // begun
  // One call was wanted and is complete, or a stop string has come; the rest is dropped.
  virtual bool done() const = 0;
  virtual size_t held() const = 0;  // bytes pushed that no delta shows or stands for yet
};

struct ToolCallOptions {
  ToolFormat format = ToolFormat::kHermes;
  bool parallel = true;      // false: only the first call
  uint64_t id_seed = 0;      // equal seeds give equal call ids
  bool required = false;     // the answer is calls and nothing else
  StopText* stop = nullptr;  // the content's way; null: there is nothing to look for in it
};

// Keeps references to `tools` and `options.stop`.
std::unique_ptr<ToolCallParser> make_tool_call_parser(const ToolCallOptions& options,
                                                      const std::vector<Tool>& tools);

}  // namespace sis::tasks
