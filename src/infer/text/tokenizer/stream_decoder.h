// Token ids to text as they are made, piece by piece.
//
// What push() gives back is final: whole characters, never taken back, and all pieces with flush()
// at the end are exactly Tokenizer::decode() of all ids. So some text waits: a character whose
// bytes are not all there, and what a decoder step needs to see on (a run of byte-fallback tokens,
// the last token of original BPE). Constant time per token on average. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "infer/text/tokenizer/tokenizer.h"

namespace sis::text {

namespace tok {
class DecodeStream;
class DecodeSink;
}  // namespace tok

class StreamDecoder {
 public:
  // `tokenizer` must outlive it.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens = true);
  StreamDecoder(StreamDecoder&&) noexcept;
  StreamDecoder& operator=(StreamDecoder&&) noexcept;
  ~StreamDecoder();

  // Ids that come before the first push and whose text is known: what they leave open (a space at
  // the start that is no longer dropped, half a character) goes on with the ids pushed.
  void skip_prompt(std::span<const int32_t> ids);

  // Text that is final now; often empty.
  std::string push(int32_t id);
  // The rest; nothing is pushed after it.
  std::string flush();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  std::vector<std::unique_ptr<tok::DecodeStream>> steps_;  // each passes to the next
  std::unique_ptr<tok::DecodeSink> sink_;
};

}  // namespace sis::text
