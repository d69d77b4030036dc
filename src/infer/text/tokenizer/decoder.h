// Decoders: from token texts back to readable text.
//
// One class and one row in decoder.cc each; a step turns the list of texts into another, and the
// last list is joined. Const after making; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "infer/text/tokenizer/decode_stream.h"
#include "infer/text/tokenizer/registry.h"

namespace sis::text::tok {

class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void decode(std::vector<std::string>& texts) const = 0;

  // Appends the same as steps that take one token after another. `fused`: all tokens are one text
  // already; set when that is so from here on.
  virtual void add_streams(std::vector<std::unique_ptr<DecodeStream>>& steps,
                           bool& fused) const = 0;
};

// From the object under "decoder".
Result<std::unique_ptr<Decoder>> make_decoder(const JsonObject& config);

Result<std::unique_ptr<Decoder>> make_bpe_decoder(const JsonObject& config);
Result<std::unique_ptr<Decoder>> make_ctc_decoder(const JsonObject& config);

void replace_all(std::string& text, std::string_view from, std::string_view to);
// Takes out spaces that cutting put before punctuation and English contractions.
void clean_up(std::string& text);

}  // namespace sis::text::tok
