// Any bytes as token ids, two bytes each, for the golden tokenizers: decode() gives text, and the
// stream the same text, in whole characters.
#include <cstdlib>

#include "base/strings.h"
#include "infer/text/tokenizer/golden_tokenizers.h"
#include "infer/text/tokenizer/stream_decoder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto tokenizers = sis::text::golden_tokenizers();
  std::vector<int32_t> ids;
  for (size_t at = 0; at + 1 < size; at += 2) ids.push_back(data[at] << 8 | data[at + 1]);
  for (const auto& tokenizer : tokenizers) {
    // Half of the ids lie in any vocabulary of the golden size.
    std::vector<int32_t> near = ids;
    for (int32_t& id : near) id = id < 0x8000 ? id % tokenizer->vocab_size() : id;
    for (const bool skip : {false, true}) {
      sis::text::StreamDecoder stream(*tokenizer, skip);
      std::string text;
      for (const int32_t id : near) {
        const std::string piece = stream.push(id);
        if (!sis::is_utf8(piece)) std::abort();
        text += piece;
      }
      text += stream.flush();
      if (text != tokenizer->decode(near, skip)) std::abort();
    }
  }
  return 0;
}
