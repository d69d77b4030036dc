#include "infer/text/tokenizer/pre_tokenized_string.h"

#include <algorithm>

namespace sis::text::tok {

void PreTokenizedString::reset(bool tracked) {
  text_.clear();
  spans_.clear();
  pieces_.clear();
  tracked_ = tracked;
}

uint32_t PreTokenizedString::append(NormalizedString& string) {
  if (text_.empty()) {
    string.swap_into(text_, spans_);
    return 0;
  }
  const auto begin = static_cast<uint32_t>(text_.size());
  text_.append(string.text());
  if (tracked_) spans_.insert(spans_.end(), string.spans().begin(), string.spans().end());
  return begin;
}

void PreTokenizedString::scan(KnownSplit kind) {
  cut([&](const Piece& piece, auto&& out) {
    ends_.clear();
    scan_splits(kind, text_of(piece), ends_);
    uint32_t begin = piece.begin;
    for (const uint32_t end : ends_) {
      out(begin, piece.begin + end);
      begin = piece.begin + end;
    }
  });
}

void PreTokenizedString::merge_parts(SplitBehavior behavior) {
  size_t kept = 0;
  bool previous = false;  // whether the part before was a match
  switch (behavior) {
    case SplitBehavior::kIsolated:
      return;
    case SplitBehavior::kRemoved:
      std::erase_if(parts_, [](const SplitPart& part) { return part.is_match; });
      return;
    case SplitBehavior::kContiguous:
    case SplitBehavior::kMergedWithPrevious:
      for (const SplitPart& part : parts_) {
        const bool joins = behavior == SplitBehavior::kContiguous ? part.is_match == previous
                                                                  : part.is_match && !previous;
        previous = part.is_match;
        if (joins && kept > 0)
          parts_[kept - 1].end = part.end;
        else
          parts_[kept++] = part;
      }
      parts_.resize(kept);
      return;
    case SplitBehavior::kMergedWithNext:
      std::reverse(parts_.begin(), parts_.end());
      for (const SplitPart& part : parts_) {
        const bool joins = part.is_match && !previous;
        previous = part.is_match;
        if (joins && kept > 0)
          parts_[kept - 1].begin = part.begin;
        else
          parts_[kept++] = part;
      }
      parts_.resize(kept);
      std::reverse(parts_.begin(), parts_.end());
      return;
  }
}

void PreTokenizedString::shrink(size_t bytes_max) {
  if (text_.capacity() + next_text_.capacity() > bytes_max) {
    text_ = {};
    next_text_ = {};
  }
  if (spans_.capacity() + next_spans_.capacity() > bytes_max / sizeof(Span)) {
    spans_ = {};
    next_spans_ = {};
  }
  if (pieces_.capacity() + next_pieces_.capacity() > bytes_max / sizeof(Piece)) {
    pieces_ = {};
    next_pieces_ = {};
  }
  if (parts_.capacity() > bytes_max / sizeof(SplitPart)) parts_ = {};
  if (ends_.capacity() > bytes_max / sizeof(uint32_t)) ends_ = {};
}

}  // namespace sis::text::tok
