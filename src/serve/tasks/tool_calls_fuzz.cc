// Any bytes as what a model says, in any form and in any pieces: the same content and calls as in
// one piece, and the text itself where there are no calls, but for an opening of one at its end.
// The first byte chooses the form, the second the length of the pieces.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "serve/tasks/tool_calls.h"

namespace {

using namespace sis::tasks;

std::string parse(ToolFormat format, std::string_view text, size_t piece, bool& calls) {
  static const std::vector<Tool> tools = {
      {.name = "f"}, {.name = "g", .parameters = R"({"properties":{"x":{"type":"string"}}})"}};
  const auto parser = make_tool_call_parser({.format = format}, tools);
  Delta delta;
  for (size_t at = 0; at < text.size(); at += piece) parser->push(text.substr(at, piece), delta);
  parser->flush(delta);
  if (parser->held() != 0) std::abort();
  calls = parser->calls() > 0;
  std::string said = delta.content;
  for (const auto& call : delta.tool_calls) said += call.name + call.arguments;
  return said;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto format = static_cast<ToolFormat>(data[0] % 8);
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  bool calls = false;
  const std::string whole = parse(format, text, std::max<size_t>(text.size(), 1), calls);
  if (!calls && !text.starts_with(whole)) std::abort();
  if (parse(format, text, data[1] % 16 + 1, calls) != whole) std::abort();
  return 0;
}
