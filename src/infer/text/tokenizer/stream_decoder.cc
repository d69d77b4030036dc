#include "infer/text/tokenizer/stream_decoder.h"

#include "infer/text/tokenizer/decode_stream.h"
#include "infer/text/tokenizer/decoder.h"

namespace sis::text {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens)
    : tokenizer_(&tokenizer),
      skip_special_tokens_(skip_special_tokens),
      sink_(std::make_unique<tok::DecodeSink>()) {
  bool fused = false;
  if (const tok::Decoder* decoder = tokenizer.decoder())
    decoder->add_streams(steps_, fused);
  else
    steps_.push_back(tok::make_joining_stream());
  for (size_t i = 0; i < steps_.size(); ++i)
    steps_[i]->next = i + 1 < steps_.size() ? steps_[i + 1].get() : sink_.get();
}

StreamDecoder::StreamDecoder(StreamDecoder&&) noexcept = default;
StreamDecoder& StreamDecoder::operator=(StreamDecoder&&) noexcept = default;
StreamDecoder::~StreamDecoder() = default;

void StreamDecoder::skip_prompt(std::span<const int32_t> ids) {
  for (const int32_t id : ids) push(id);
}

std::string StreamDecoder::push(int32_t id) {
  const auto text = tokenizer_->token_to_decode(id, skip_special_tokens_);
  if (!text) return {};
  tok::DecodeStream* first = sink_.get();
  if (!steps_.empty()) first = steps_.front().get();
  first->push(*text);
  return sink_->take();
}

std::string StreamDecoder::flush() {
  if (!steps_.empty()) steps_.front()->finish();
  return sink_->take();
}

}  // namespace sis::text
