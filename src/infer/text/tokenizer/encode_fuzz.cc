// Any bytes as text, for the golden tokenizers: ids in range, offsets inside the text and in order.
#include <cstdlib>

#include "infer/text/tokenizer/golden_tokenizers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto tokenizers = sis::text::golden_tokenizers();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& tokenizer : tokenizers) {
    const auto plain = tokenizer->encode(text, {});
    const auto spanned = tokenizer->encode(text, {.with_offsets = true});
    if (plain.ids != spanned.ids || spanned.offsets.size() != spanned.ids.size()) std::abort();
    // Bytes that are not UTF-8 count as three.
    for (const auto& [begin, end] : spanned.offsets)
      if (begin < 0 || begin > end || static_cast<size_t>(end) > 3 * size) std::abort();
    for (int32_t id : plain.ids)
      if (id < 0 || id >= tokenizer->vocab_size()) std::abort();
    const auto cut = tokenizer->encode(text, {.tokens_max = 7});
    if (cut.ids.size() > 7) std::abort();
    tokenizer->decode(plain.ids, false);
  }
  return 0;
}
