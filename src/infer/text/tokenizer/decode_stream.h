// The steps of a decoder, taking one token after another.
//
// A step is given whole tokens until a step before it has made one text of them all (Fuse,
// ByteLevel); from then on it is given that text bit by bit, cut between characters. What comes out
// is passed to the next step. One thread at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sis::text::tok {

class Decoder;

class DecodeStream {
 public:
  virtual ~DecodeStream() = default;
  // The next token, or the next bit of the one text.
  virtual void push(std::string_view text) = 0;
  // No more will come; passes what was held back.
  virtual void finish() = 0;

  // Where results go: the next step or, at the end, a string.
  DecodeStream* next = nullptr;
};

// Gathers what comes out of the last step.
class DecodeSink final : public DecodeStream {
 public:
  void push(std::string_view text) override { text_ += text; }
  void finish() override {}
  std::string take() { return std::exchange(text_, {}); }

 private:
  std::string text_;
};

// Collects the one text and decodes it at the end: for steps that must see the whole first.
std::unique_ptr<DecodeStream> make_collecting_stream(const Decoder& decoder);
// Puts `to` for every `from` of the one text.
std::unique_ptr<DecodeStream> make_replacing_stream(std::string_view from, std::string_view to);
// Drops up to `start` leading and `stop` trailing `content` of the one text.
std::unique_ptr<DecodeStream> make_stripping_stream(std::string_view content, size_t start,
                                                    size_t stop);
// Tokens with a space between, for tokenizers without a decoder.
std::unique_ptr<DecodeStream> make_joining_stream();

}  // namespace sis::text::tok
