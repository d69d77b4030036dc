// The normalised text cut into pieces, each later tokenised alone.
//
// One buffer holds all the text, so that cutting moves no bytes; pieces are ranges of it. A piece
// that already is a token (an added token found in the text) stays as it is. One thread at a time;
// reused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "infer/text/tokenizer/normalized_string.h"
#include "infer/text/tokenizer/split_scanner.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {

struct Piece {
  uint32_t begin = 0, end = 0;  // bytes of the text
  int32_t added_id = -1;        // >= 0: this added token
};

// What becomes of the delimiter when a text is cut at it.
enum class SplitBehavior : uint8_t {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous,
};

// A part of a piece, relative to the text: a delimiter or what lies between.
struct SplitPart {
  uint32_t begin, end;
  bool is_match;
};

class PreTokenizedString {
 public:
  // Empties it; `tracked`: spans come with every text.
  void reset(bool tracked);

  std::string_view text() const { return text_; }
  const std::vector<Span>& spans() const { return spans_; }
  const std::vector<Piece>& pieces() const { return pieces_; }
  bool tracked() const { return tracked_; }
  std::string_view text_of(const Piece& piece) const {
    return std::string_view(text_).substr(piece.begin, piece.end - piece.begin);
  }
  // Where in the input the piece begins.
  uint32_t input_begin(const Piece& piece) const {
    return tracked_ && piece.begin < piece.end ? spans_[piece.begin].begin : piece.begin;
  }

  // Takes a normalised text over as the next part; the string is left with unspecified content.
  // Returns where it begins.
  uint32_t append(NormalizedString& string);
  // Cuts the whole appended text into pieces, in order; empty ones are left out.
  void add_piece(uint32_t begin, uint32_t end, int32_t added_id = -1) {
    if (begin < end) pieces_.push_back({begin, end, added_id});
  }

  // Cuts every piece that is no token yet: cut(piece, out) calls out(begin, end) for each part, in
  // order.
  template <class Cut>
  void cut(Cut&& fn) {
    next_pieces_.clear();
    const auto out = [&](uint32_t begin, uint32_t end) {
      if (begin < end) next_pieces_.push_back({begin, end, -1});
    };
    for (const Piece& piece : pieces_) {
      if (piece.added_id >= 0)
        next_pieces_.push_back(piece);
      else
        fn(piece, out);
    }
    pieces_.swap(next_pieces_);
  }

  // Cuts at what `find(text, part_out)` reports as matches and gaps of a piece, in order and
  // without holes: part_out(begin, end, is_match), relative to the piece.
  template <class Find>
  void split(SplitBehavior behavior, Find&& find) {
    cut([&](const Piece& piece, auto&& out) {
      parts_.clear();
      find(text_of(piece), [&](size_t begin, size_t end, bool is_match) {
        parts_.push_back({piece.begin + static_cast<uint32_t>(begin),
                          piece.begin + static_cast<uint32_t>(end), is_match});
      });
      merge_parts(behavior);
      for (const SplitPart& part : parts_) out(part.begin, part.end);
    });
  }

  // Cuts at single characters: is_delimiter(c).
  template <class IsDelimiter>
  void split_at(SplitBehavior behavior, IsDelimiter&& is_delimiter) {
    split(behavior, [&](std::string_view text, auto&& part) {
      size_t gap = 0;
      for (size_t at = 0, bytes = 0; at < text.size(); at += bytes) {
        if (!is_delimiter(decode_utf8(text, at, bytes))) continue;
        if (gap < at) part(gap, at, false);
        part(at, at + bytes, true);
        gap = at + bytes;
      }
      if (gap < text.size()) part(gap, text.size(), false);
    });
  }

  // Cuts at the matches of a known expression.
  void scan(KnownSplit kind);

  // Writes the text anew: rewrite(piece, writer) for pieces that are no tokens yet; it puts bytes
  // and ends pieces through the writer. Tokens are carried over.
  class Rewriter;
  template <class Rewrite>
  void rewrite(Rewrite&& fn);

  void shrink(size_t bytes_max);

 private:
  // Turns matches and gaps into pieces in place, as `behavior` says; what is to go is removed.
  void merge_parts(SplitBehavior behavior);

  std::string text_, next_text_;
  std::vector<Span> spans_, next_spans_;
  std::vector<Piece> pieces_, next_pieces_;
  std::vector<SplitPart> parts_;
  std::vector<uint32_t> ends_;
  bool tracked_ = false;
};

class PreTokenizedString::Rewriter {
 public:
  // Text bytes [begin, end) unchanged.
  void keep(uint32_t begin, uint32_t end) {
    string_.next_text_.append(string_.text_, begin, end - begin);
    if (string_.tracked_)
      string_.next_spans_.insert(string_.next_spans_.end(), string_.spans_.begin() + begin,
                                 string_.spans_.begin() + end);
  }
  // `bytes` standing for what text byte `like` stands for.
  void put(std::string_view bytes, uint32_t like) {
    string_.next_text_.append(bytes);
    if (string_.tracked_)
      string_.next_spans_.insert(string_.next_spans_.end(), bytes.size(), string_.spans_[like]);
  }
  // What was written since the last call becomes a piece.
  void end_piece(int32_t added_id = -1) {
    const auto end = static_cast<uint32_t>(string_.next_text_.size());
    if (begin_ < end) string_.next_pieces_.push_back({begin_, end, added_id});
    begin_ = end;
  }

 private:
  friend class PreTokenizedString;
  explicit Rewriter(PreTokenizedString& string) : string_(string) {}
  PreTokenizedString& string_;
  uint32_t begin_ = 0;
};

template <class Rewrite>
void PreTokenizedString::rewrite(Rewrite&& fn) {
  next_text_.clear();
  next_spans_.clear();
  next_pieces_.clear();
  next_text_.reserve(text_.size() + text_.size() / 2 + 16);
  Rewriter writer(*this);
  for (const Piece& piece : pieces_) {
    if (piece.added_id >= 0) {
      writer.keep(piece.begin, piece.end);
      writer.end_piece(piece.added_id);
    } else {
      fn(piece, writer);
      writer.end_piece();
    }
  }
  text_.swap(next_text_);
  spans_.swap(next_spans_);
  pieces_.swap(next_pieces_);
}

}  // namespace sis::text::tok
