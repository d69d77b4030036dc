// A template, a line break and JSON variables: rendered within small limits; never a crash.
#include "infer/text/chat_template/chat_template.h"
#include "infer/text/chat_template/json_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t line = text.rfind('\n');
  if (line == std::string_view::npos) return 0;
  const auto context = sis::text::tmpl::from_json(text.substr(line + 1), "variables");
  if (!context) return 0;
  const auto parsed = sis::text::ChatTemplate::parse(text.substr(0, line));
  if (!parsed) return 0;
  const sis::text::RenderOptions options{
      .limits = {.steps = 100'000, .built_bytes = 1 << 20, .output_bytes = 1 << 18}};
  (void)parsed->render(*context, options);
  return 0;
}
