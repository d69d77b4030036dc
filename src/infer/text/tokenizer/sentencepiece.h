// Reads SentencePiece's .model file: a protocol buffer with pieces, scores and how to normalise.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sis::text::tok {

struct SentencePiece {
  enum Type : uint8_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };
  std::string_view text;
  float score = 0;
  Type type = kNormal;
};

// Views point into the file.
struct SentencePieceModel {
  enum Type : uint8_t { kUnigram = 1, kBpe = 2 };
  std::vector<SentencePiece> pieces;
  Type type = kUnigram;
  int64_t unknown_id = 0;
  bool byte_fallback = false;
  std::string_view charsmap;  // the compiled normalisation, may be empty
};

// Refuses what is cut off, too large or of another kind than the two.
Result<SentencePieceModel> read_sentencepiece(std::string_view file);

}  // namespace sis::text::tok
