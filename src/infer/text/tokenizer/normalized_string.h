// A text on its way through the normalizers, and for each of its bytes the part of the input it
// stands for.
//
// Mirrors the bookkeeping of the library's NormalizedString, because offsets must come out the
// same. Spans are absolute byte ranges of the whole input. When nobody wants offsets they are not
// kept at all, which makes normalising several times faster. One thread at a time; meant to be
// reused.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sis::text::tok {

struct Span {
  uint32_t begin = 0, end = 0;
};

// One output character of a rewrite, in order. `change` says how the input moves on:
//    0  it takes the place of the next input character
//   +1  it is inserted
//   -n  it takes the place of the next one, and n more after that are dropped
struct Change {
  char32_t c;
  int32_t change;
};

class NormalizedString {
 public:
  // `original` is the part of the input that begins at byte `original_begin`.
  void reset(std::string_view original, uint32_t original_begin, bool tracked);

  std::string_view text() const { return text_; }
  std::span<const Span> spans() const { return spans_; }
  bool tracked() const { return tracked_; }
  bool empty() const { return text_.empty(); }
  // What the text may grow to. No real normalizer comes near; a chain made to double it again and
  // again stops there, with the text as it is then.
  size_t bytes_max() const { return bytes_max_; }

  // Rewrites the whole text; `dropped_first` characters at its start are dropped before the first
  // change.
  void transform(std::span<const Change> changes, size_t dropped_first = 0);
  // Puts `prefix` in front of a text that is not empty.
  void prepend(std::string_view prefix);
  // Leaves only the bytes [begin, end).
  void keep_only(size_t begin, size_t end);
  // Takes `text` (by swap) without spans; for strings that are not tracked.
  void assign_untracked(std::string& text) { text_.swap(text); }

  void swap_into(std::string& text, std::vector<Span>& spans) {
    text.swap(text_);
    spans.swap(spans_);
  }
  // Gives memory back after an unusually long text.
  void shrink(size_t bytes_max);

  // Writes the next text in order; what it is given says which input it stands for.
  class Writer {
   public:
    explicit Writer(NormalizedString& string);
    // Input bytes [begin, end) unchanged.
    void keep(size_t begin, size_t end);
    // Input bytes [begin, end), all ASCII, each through a table.
    void put_mapped(size_t begin, size_t end, const char* table);
    // `bytes` standing for what input byte `like` stands for.
    void put(std::string_view bytes, size_t like);
    void put(char32_t c, size_t like);
    // `bytes` inserted after input byte `at` - 1, sharing its span.
    void insert(std::string_view bytes, size_t at);
    // True when no more should be put; what was written is then to be dropped.
    bool full() const { return string_.next_text_.size() > string_.bytes_max_; }
    // The new text becomes the string's text.
    void commit();

   private:
    NormalizedString& string_;
  };

 private:
  std::string text_, next_text_;
  std::vector<Span> spans_, next_spans_;
  uint32_t original_begin_ = 0;
  size_t bytes_max_ = 0;
  bool tracked_ = false;
};

inline void NormalizedString::Writer::keep(size_t begin, size_t end) {
  string_.next_text_.append(string_.text_, begin, end - begin);
  if (string_.tracked_)
    string_.next_spans_.insert(string_.next_spans_.end(), string_.spans_.begin() + begin,
                               string_.spans_.begin() + end);
}

inline void NormalizedString::Writer::put_mapped(size_t begin, size_t end, const char* table) {
  const size_t written = string_.next_text_.size();
  keep(begin, end);
  for (size_t i = written; i < string_.next_text_.size(); ++i)
    string_.next_text_[i] = table[string_.next_text_[i] & 0x7F];
}

inline void NormalizedString::Writer::put(std::string_view bytes, size_t like) {
  string_.next_text_.append(bytes);
  if (string_.tracked_)
    string_.next_spans_.insert(string_.next_spans_.end(), bytes.size(), string_.spans_[like]);
}

}  // namespace sis::text::tok
