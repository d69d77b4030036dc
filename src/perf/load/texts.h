// Texts to send: a given one, lines of a file, or made-up ones of wanted lengths. Same seed, same
// texts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/rng.h"

namespace sis::perf {

// How many words a made-up text has.
//   "16,128,512"           each with the same chance
//   "uniform:LOW:HIGH"     every count from LOW to HIGH
//   "lognormal:MEAN[:S]"   mean MEAN words, log-deviation S (default 0.6)
class LengthSpec {
 public:
  static constexpr int64_t kWordsMax = 100'000;
  static Result<LengthSpec> parse(std::string_view text);

  int64_t sample(Rng& rng) const;

 private:
  enum class Kind : uint8_t { kChoice, kUniform, kLogNormal };
  Kind kind_ = Kind::kChoice;
  std::vector<int64_t> choices_;
  int64_t low_ = 1, high_ = 1;
  double mean_ = 1, sigma_ = 0.6;
};

// `words` common words with blanks between them.
std::string random_text(Rng& rng, int64_t words);

// The non-blank lines of a UTF-8 file, at most 256 MiB of it; errors name the file and the line.
Result<std::vector<std::string>> read_lines(const std::string& path);

// A number as six words of four letters ("able army calm disk edge farm", 48 bits): text that no
// other number has, of a fixed width, which tokenizes to about a token per word.
inline constexpr size_t kTagWords = 6;
inline constexpr size_t kTagBytes = kTagWords * 5 - 1;
void write_tag(uint64_t number, char* out);  // kTagBytes bytes

}  // namespace sis::perf
