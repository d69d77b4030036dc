// Any bytes as tokenizer.json: refused or usable, never a crash.
#include "infer/text/tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto tokenizer =
      sis::text::Tokenizer::from_json({reinterpret_cast<const char*>(data), size});
  if (!tokenizer) return 0;
  for (const std::string_view text : {"", "Hello,  World! \u00e9e\u0301\uAC01 12",
                                      "\u2581a<s>\u4e2d\u0085\U0001F469\u200D\U0001F467"}) {
    const auto whole = (*tokenizer)->encode(text, {.with_offsets = true});
    (*tokenizer)->encode(text, {.add_special_tokens = false, .tokens_max = 3});
    (*tokenizer)->encode_pair(text, "b a", {.tokens_max = 5, .with_offsets = true});
    (*tokenizer)->decode(whole.ids, true);
  }
  return 0;
}
