// Text to token ids exactly as the `tokenizers` library does it, from a checkpoint's
// tokenizer.json.
//
// Built once, then const and usable from any number of threads at once. Truncation is the caller's
// choice per call; padding happens in pad() alone (token_limits.h). An element of tokenizer.json we
// do not implement is an error at load that names it.
//
// Where the library fails or wavers, this does not: limits below the number of special tokens leave
// just these, texts that a model without an unknown token cannot cover lose those parts, and of
// added tokens with one normalised form the lowest id is found.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/text/tokenizer/token_limits.h"

namespace sis::text {

namespace tok {
class Decoder;
}

struct Encoding {
  std::vector<int32_t> ids;
  std::vector<int32_t> type_ids;
  // Byte offsets [begin, end) into the input; {0, 0} for added special tokens. Filled when asked
  // for.
  std::vector<std::pair<int32_t, int32_t>> offsets;
  // 1 for tokens, 0 for padding; filled by pad() only.
  std::vector<uint8_t> attention;
};

struct EncodeOptions {
  bool add_special_tokens = true;
  int32_t tokens_max =
      0;  // 0: no limit; else truncated on the right so that specials fit, as HF does
  bool with_offsets = false;
  // When set it counts instead of tokens_max: say, the file's own, tokenizer.truncation().
  std::optional<Truncation> truncation = std::nullopt;
};

class Tokenizer {
 public:
  // `json` is the whole of tokenizer.json. Hostile input gives an error, never a crash: depth,
  // counts and sizes are bounded.
  static Result<std::unique_ptr<Tokenizer>> from_json(std::string_view json);
  // tokenizer.json in `folder`, or else what came before it: vocab.json with merges.txt, a
  // SentencePiece model or vocab.txt, each with tokenizer_config.json (docs/tokenizers.md).
  static Result<std::unique_ptr<Tokenizer>> from_folder(const std::string& folder);
  virtual ~Tokenizer() = default;

  // `text` must be valid UTF-8 (checked by the caller) of at most 1 GiB. Should it not be, each
  // stray byte counts as U+FFFD, and offsets are those of the text with it.
  virtual Encoding encode(std::string_view text, const EncodeOptions& options) const = 0;
  virtual Encoding encode_pair(std::string_view first, std::string_view second,
                               const EncodeOptions& options) const = 0;
  virtual std::string decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const = 0;

  // What tokenizer.json says; never applied unasked.
  virtual const std::optional<Truncation>& truncation() const = 0;
  virtual const std::optional<Padding>& padding() const = 0;

  virtual int32_t vocab_size() const = 0;  // added tokens included
  virtual std::optional<int32_t> token_to_id(std::string_view token) const = 0;
  virtual std::string_view id_to_token(int32_t id) const = 0;  // empty when unknown

  // For StreamDecoder: the text that decode() gives its decoder for an id, nothing for ids it
  // passes over; and that decoder, null when tokens are joined by spaces.
  virtual std::optional<std::string_view> token_to_decode(int32_t id,
                                                          bool skip_special_tokens) const = 0;
  virtual const tok::Decoder* decoder() const = 0;
};

}  // namespace sis::text
