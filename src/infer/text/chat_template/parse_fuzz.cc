// Any bytes as a template: refused, or rendered within small limits; never a crash.
#include "infer/text/chat_template/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed = sis::text::ChatTemplate::parse({reinterpret_cast<const char*>(data), size});
  if (!parsed) return 0;
  const sis::text::RenderOptions options{
      .limits = {.steps = 100'000, .built_bytes = 1 << 20, .output_bytes = 1 << 18}};
  (void)parsed->render(sis::text::tmpl::Value::dict({}), options);
  return 0;
}
