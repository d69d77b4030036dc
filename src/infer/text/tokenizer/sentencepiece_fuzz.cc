// Any bytes as a SentencePiece model: refused, or a tokenizer.json that is refused or usable.
#include "infer/text/tokenizer/legacy_sentencepiece.h"
#include "infer/text/tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (const char* kind :
       {"GemmaTokenizer", "LlamaTokenizer", "T5Tokenizer", "XLMRobertaTokenizer"}) {
    sis::text::tok::LegacyFiles files;
    files.tokenizer_config = sis::concat("{\"tokenizer_class\":\"", kind, "\"}");
    const auto json = sis::text::tok::sentencepiece_tokenizer_json(
        {reinterpret_cast<const char*>(data), size}, files);
    if (!json) continue;
    const auto tokenizer = sis::text::Tokenizer::from_json(*json);
    if (!tokenizer) continue;
    const auto whole =
        (*tokenizer)->encode("Hello,  World! \u00e9e\u0301 12\u2581a", {.with_offsets = true});
    (*tokenizer)->decode(whole.ids, true);
  }
  return 0;
}
