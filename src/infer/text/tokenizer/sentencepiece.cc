#include "infer/text/tokenizer/sentencepiece.h"

#include <cmath>
#include <cstring>

#include "base/strings.h"
#include "infer/text/tokenizer/vocabulary.h"

namespace sis::text::tok {
namespace {

// One field of a protocol buffer message.
struct Field {
  uint64_t number = 0;
  uint64_t value = 0;      // of a varint or fixed number
  std::string_view bytes;  // of a string or message
};

Error broken(std::string_view what) {
  return Error{Code::kInvalidArgument, concat("sentencepiece model: ", what)};
}

bool read_varint(std::string_view& in, uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in[0]);
    in.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// fn(Field) -> Status for each field of a message.
template <class Fn>
Status for_each_field(std::string_view in, std::string_view what, Fn&& fn) {
  while (!in.empty()) {
    uint64_t key = 0;
    if (!read_varint(in, key)) return broken(concat(what, ": a field's key is cut off"));
    Field field{.number = key >> 3};
    const uint64_t kind = key & 7;
    if (kind == 0) {
      if (!read_varint(in, field.value)) return broken(concat(what, ": a number is cut off"));
    } else if (kind == 1 || kind == 5) {
      const size_t bytes = kind == 1 ? 8 : 4;
      if (in.size() < bytes) return broken(concat(what, ": a number is cut off"));
      std::memcpy(&field.value, in.data(), bytes);
      in.remove_prefix(bytes);
    } else if (kind == 2) {
      uint64_t bytes = 0;
      if (!read_varint(in, bytes) || bytes > in.size())
        return broken(concat(what, ": field ", field.number, " runs past the end"));
      field.bytes = in.substr(0, bytes);
      in.remove_prefix(bytes);
    } else {
      return broken(concat(what, ": want a field of kind 0, 1, 2 or 5, found ", kind));
    }
    SIS_TRY(fn(field));
  }
  return {};
}

Status read_piece(std::string_view in, SentencePiece& piece) {
  SIS_TRY(for_each_field(in, "piece", [&](const Field& field) -> Status {
    if (field.number == 1) piece.text = field.bytes;
    if (field.number == 2) {
      const auto bits = static_cast<uint32_t>(field.value);
      std::memcpy(&piece.score, &bits, sizeof bits);
    }
    if (field.number == 3) {
      if (field.value < SentencePiece::kNormal || field.value > SentencePiece::kByte)
        return broken(concat("piece: want a type from 1 to 6, found ", field.value));
      piece.type = static_cast<SentencePiece::Type>(field.value);
    }
    return {};
  }));
  if (!is_utf8(piece.text)) return broken("a piece is not UTF-8");
  if (!std::isfinite(piece.score))
    return broken(concat("piece ", in_quotes(piece.text), ": the score is not a finite number"));
  return {};
}

}  // namespace

Result<SentencePieceModel> read_sentencepiece(std::string_view file) {
  SentencePieceModel model;
  uint64_t type = SentencePieceModel::kUnigram;
  SIS_TRY(for_each_field(file, "file", [&](const Field& field) -> Status {
    if (field.number == 1) {
      if (model.pieces.size() >= Vocabulary::kTokensMax)
        return broken(concat("more than ", Vocabulary::kTokensMax, " pieces"));
      return read_piece(field.bytes, model.pieces.emplace_back());
    }
    if (field.number == 2)
      return for_each_field(field.bytes, "trainer", [&](const Field& spec) -> Status {
        if (spec.number == 3) type = spec.value;
        if (spec.number == 35) model.byte_fallback = spec.value != 0;
        if (spec.number == 40) model.unknown_id = static_cast<int32_t>(spec.value);
        return {};
      });
    if (field.number == 3)
      return for_each_field(field.bytes, "normalizer", [&](const Field& spec) -> Status {
        if (spec.number == 2) model.charsmap = spec.bytes;
        return {};
      });
    return {};
  }));
  if (type != SentencePieceModel::kUnigram && type != SentencePieceModel::kBpe)
    return broken(concat("want a model of type 1 (unigram) or 2 (bpe), found ", type));
  model.type = static_cast<SentencePieceModel::Type>(type);
  if (model.pieces.empty()) return broken("there are no pieces");
  if (model.unknown_id < 0 || static_cast<size_t>(model.unknown_id) >= model.pieces.size())
    return broken(
        concat("want an unknown id below ", model.pieces.size(), ", found ", model.unknown_id));
  return model;
}

}  // namespace sis::text::tok
