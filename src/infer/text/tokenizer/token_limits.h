// The "truncation" and "padding" parts of tokenizer.json: what a checkpoint's author cut and filled
// texts to. Read and shown; whoever encodes decides whether to follow them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sis::text {

struct Encoding;

struct Truncation {
  enum class Strategy : uint8_t { kLongestFirst, kOnlyFirst, kOnlySecond };
  int32_t tokens_max = 512;
  Strategy strategy = Strategy::kLongestFirst;
  int32_t stride = 0;  // of further parts, which we do not make
  bool left = false;   // the beginning goes
};

struct Padding {
  int32_t length = 0;       // 0: as long as the longest of the batch
  int32_t multiple_of = 0;  // 0: any length
  bool left = false;        // in front
  int32_t id = 0, type_id = 0;
  std::string token;
};

// Fills the encodings up to one length and sets their attention.
void pad(std::span<Encoding> batch, const Padding& padding);

}  // namespace sis::text
