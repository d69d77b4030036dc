// Any bytes as tokenizer.json: refused or usable, never a crash; and what it decodes comes out of a
// stream the same.
#include <cstdlib>

#include "infer/text/tokenizer/stream_decoder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto tokenizer =
      sis::text::Tokenizer::from_json({reinterpret_cast<const char*>(data), size});
  if (!tokenizer) return 0;
  for (const std::string_view text : {"", "Hello,  World! \u00e9e\u0301\uAC01 12",
                                      "\u2581a<s>\u4e2d\u0085\U0001F469\u200D\U0001F467"}) {
    const auto whole = (*tokenizer)->encode(text, {.with_offsets = true});
    (*tokenizer)->encode(text, {.add_special_tokens = false, .tokens_max = 3});
    (*tokenizer)->encode_pair(text, "b a", {.tokens_max = 5, .with_offsets = true});
    sis::text::EncodeOptions as_file;
    as_file.truncation = (*tokenizer)->truncation();
    (*tokenizer)->encode_pair(text, "b a", as_file);
    sis::text::StreamDecoder stream(**tokenizer);
    std::string streamed;
    for (const int32_t id : whole.ids) streamed += stream.push(id);
    streamed += stream.flush();
    if (streamed != (*tokenizer)->decode(whole.ids, true)) std::abort();
  }
  return 0;
}
