#include "infer/text/tokenizer/normalized_string.h"

#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {

namespace {

// Compatibility forms make at most 11 bytes of one (U+FDFA).
constexpr size_t kGrowthMax = 64, kRoom = 65'536;

}  // namespace

void NormalizedString::reset(std::string_view original, uint32_t original_begin, bool tracked) {
  text_.assign(original);
  original_begin_ = original_begin;
  bytes_max_ = original.size() * kGrowthMax + kRoom;
  tracked_ = tracked;
  spans_.clear();
  if (!tracked) return;
  spans_.resize(original.size());
  for (size_t at = 0; at < original.size();) {
    const size_t end = std::min(at + utf8_length(original[at]), original.size());
    const Span span{original_begin + static_cast<uint32_t>(at),
                    original_begin + static_cast<uint32_t>(end)};
    for (; at < end; ++at) spans_[at] = span;
  }
}

void NormalizedString::transform(std::span<const Change> changes, size_t dropped_first) {
  next_text_.clear();
  if (!tracked_) {
    for (const Change& change : changes) append_utf8(next_text_, change.c);
    text_.swap(next_text_);
    return;
  }
  next_spans_.clear();
  size_t at = 0;  // the input byte that the next replaced character begins at
  const auto step = [&] {
    if (at < text_.size()) at = std::min(at + utf8_length(text_[at]), text_.size());
  };
  for (size_t i = 0; i < dropped_first; ++i) step();
  for (const Change& change : changes) {
    char bytes[4];
    const size_t count = encode_utf8(change.c, bytes);
    Span span{original_begin_, original_begin_};
    if (change.change > 0) {
      if (at > 0) span = spans_[at - 1];
    } else {
      if (!spans_.empty()) span = spans_[std::min(at, spans_.size() - 1)];
      for (int32_t i = change.change; i <= 0; ++i) step();
    }
    next_text_.append(bytes, count);
    next_spans_.insert(next_spans_.end(), count, span);
  }
  text_.swap(next_text_);
  spans_.swap(next_spans_);
}

void NormalizedString::prepend(std::string_view prefix) {
  if (text_.empty() || text_.size() + prefix.size() > bytes_max_) return;
  if (tracked_) {
    // The first prefix character takes the first character's span, and all after it, that character
    // included, share it. With no prefix the character counts as inserted at the very start.
    const Span span = prefix.empty() ? Span{original_begin_, original_begin_} : spans_.front();
    const size_t first = std::min(utf8_length(text_[0]), text_.size());
    for (size_t i = 0; i < first; ++i) spans_[i] = span;
    spans_.insert(spans_.begin(), prefix.size(), span);
  }
  text_.insert(0, prefix);
}

void NormalizedString::keep_only(size_t begin, size_t end) {
  text_.erase(end);
  text_.erase(0, begin);
  if (!tracked_) return;
  spans_.erase(spans_.begin() + static_cast<ptrdiff_t>(end), spans_.end());
  spans_.erase(spans_.begin(), spans_.begin() + static_cast<ptrdiff_t>(begin));
}

void NormalizedString::shrink(size_t bytes_max) {
  if (text_.capacity() + next_text_.capacity() > bytes_max) {
    text_ = {};
    next_text_ = {};
  }
  if (spans_.capacity() + next_spans_.capacity() > bytes_max / sizeof(Span)) {
    spans_ = {};
    next_spans_ = {};
  }
}

NormalizedString::Writer::Writer(NormalizedString& string) : string_(string) {
  string_.next_text_.clear();
  string_.next_spans_.clear();
  string_.next_text_.reserve(string_.text_.size() + string_.text_.size() / 8 + 16);
}

void NormalizedString::Writer::put(char32_t c, size_t like) {
  char bytes[4];
  put({bytes, encode_utf8(c, bytes)}, like);
}

void NormalizedString::Writer::insert(std::string_view bytes, size_t at) {
  string_.next_text_.append(bytes);
  if (!string_.tracked_) return;
  const Span start{string_.original_begin_, string_.original_begin_};
  string_.next_spans_.insert(string_.next_spans_.end(), bytes.size(),
                             at == 0 ? start : string_.spans_[at - 1]);
}

void NormalizedString::Writer::commit() {
  string_.text_.swap(string_.next_text_);
  if (string_.tracked_) string_.spans_.swap(string_.next_spans_);
}

}  // namespace sis::text::tok
