// For tests: a tokenizer that counts what it encodes and breaks at the word it is told.
#pragma once

#include <atomic>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "infer/text/tokenizer/tokenizer.h"

namespace sis::tasks {

class TokenizerProbe final : public text::Tokenizer {
 public:
  // Texts with `breaks_at` in them end with std::bad_alloc.
  TokenizerProbe(std::unique_ptr<text::Tokenizer> real, std::string breaks_at)
      : real_(std::move(real)), breaks_at_(std::move(breaks_at)) {}

  text::Encoding encode(std::string_view text, const text::EncodeOptions& options) const override {
    ++encoded;
    if (text.find(breaks_at_) != std::string_view::npos) throw std::bad_alloc();
    return real_->encode(text, options);
  }
  text::Encoding encode_pair(std::string_view first, std::string_view second,
                             const text::EncodeOptions& options) const override {
    ++encoded;
    return real_->encode_pair(first, second, options);
  }
  std::string decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const override {
    return real_->decode(ids, skip_special_tokens);
  }
  const std::optional<text::Truncation>& truncation() const override { return real_->truncation(); }
  const std::optional<text::Padding>& padding() const override { return real_->padding(); }
  int32_t vocab_size() const override { return real_->vocab_size(); }
  std::optional<int32_t> token_to_id(std::string_view token) const override {
    return real_->token_to_id(token);
  }
  std::string_view id_to_token(int32_t id) const override { return real_->id_to_token(id); }
  std::optional<std::string_view> token_to_decode(int32_t id,
                                                  bool skip_special_tokens) const override {
    return real_->token_to_decode(id, skip_special_tokens);
  }
  const text::tok::Decoder* decoder() const override { return real_->decoder(); }

  mutable std::atomic<int> encoded{0};

 private:
  const std::unique_ptr<text::Tokenizer> real_;
  const std::string breaks_at_;
};

}  // namespace sis::tasks
