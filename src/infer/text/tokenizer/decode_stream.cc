#include "infer/text/tokenizer/decode_stream.h"

#include <algorithm>

#include "infer/text/tokenizer/decoder.h"

namespace sis::text::tok {
namespace {

class Collecting final : public DecodeStream {
 public:
  explicit Collecting(const Decoder& decoder) : decoder_(decoder) {}
  void push(std::string_view text) override { text_ += text; }
  void finish() override {
    std::vector<std::string> texts{std::move(text_)};
    decoder_.decode(texts);
    for (const std::string& text : texts) next->push(text);
    next->finish();
  }

 private:
  const Decoder& decoder_;
  std::string text_;
};

class Replacing final : public DecodeStream {
 public:
  Replacing(std::string_view from, std::string_view to) : from_(from), to_(to) {}

  // Text goes on up to a tail that may be the beginning of `from`. No match can begin before that
  // tail, or the tail would be longer.
  void push(std::string_view text) override {
    text_ += text;
    std::string out;
    size_t done = 0;
    for (size_t at = text_.find(from_); at != std::string::npos; at = text_.find(from_, done)) {
      out.append(text_, done, at - done).append(to_);
      done = at + from_.size();
    }
    size_t tail = std::min(from_.size() - 1, text_.size() - done);
    while (
        !std::string_view(from_).starts_with(std::string_view(text_).substr(text_.size() - tail)))
      --tail;
    out.append(text_, done, text_.size() - tail - done);
    text_.erase(0, text_.size() - tail);
    if (!out.empty()) next->push(out);
  }
  void finish() override {
    if (!text_.empty()) next->push(text_);
    next->finish();
  }

 private:
  const std::string from_, to_;
  std::string text_;
};

class Stripping final : public DecodeStream {
 public:
  Stripping(std::string_view content, size_t start, size_t stop)
      : content_(content), start_(start), stop_(stop) {}

  void push(std::string_view text) override {
    while (start_ > 0 && text.starts_with(content_)) {
      text.remove_prefix(content_.size());
      --start_;
    }
    if (text.empty()) return;
    start_ = 0;
    // `held_` contents that may turn out to be the last.
    size_t trailing = 0;
    std::string_view rest = text;
    while (trailing < stop_ && rest.ends_with(content_)) {
      rest.remove_suffix(content_.size());
      ++trailing;
    }
    const size_t before =
        rest.empty() ? held_ + trailing - std::min(held_ + trailing, stop_) : held_;
    std::string out;
    for (size_t i = 0; i < before; ++i) out += content_;
    out += rest;
    held_ = rest.empty() ? std::min(held_ + trailing, stop_) : trailing;
    if (!out.empty()) next->push(out);
  }
  void finish() override { next->finish(); }

 private:
  const std::string content_;
  size_t start_;
  const size_t stop_;
  size_t held_ = 0;
};

class Joining final : public DecodeStream {
 public:
  void push(std::string_view text) override {
    if (!first_) next->push(" ");
    first_ = false;
    next->push(text);
  }
  void finish() override { next->finish(); }

 private:
  bool first_ = true;
};

}  // namespace

std::unique_ptr<DecodeStream> make_collecting_stream(const Decoder& decoder) {
  return std::make_unique<Collecting>(decoder);
}

std::unique_ptr<DecodeStream> make_replacing_stream(std::string_view from, std::string_view to) {
  return std::make_unique<Replacing>(from, to);
}

std::unique_ptr<DecodeStream> make_stripping_stream(std::string_view content, size_t start,
                                                    size_t stop) {
  return std::make_unique<Stripping>(content, start, stop);
}

std::unique_ptr<DecodeStream> make_joining_stream() { return std::make_unique<Joining>(); }

}  // namespace sis::text::tok
