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
//   "16,128,512"            each with the same chance
//   "uniform:LOW:HIGH"      every count from LOW to HIGH
//   "normal:MEAN:DEVIATION" rounded, what falls below 1 is 1
//   "lognormal:MEAN[:S]"    mean MEAN words, log-deviation S (default 0.6)
//   "zipf:LOW:HIGH[:S]"     LOW most often, the k-th count with weight 1 / k^S (default 1)
//   "file:PATH"             a histogram: a line "WORDS COUNT" or "WORDS,COUNT" for each length
class LengthSpec {
 public:
  static constexpr int64_t kWordsMax = 100'000;
  // Reads the file of file:PATH, whose faults name the line.
  static Result<LengthSpec> parse(std::string_view text);

  int64_t sample(Rng& rng) const;
  // What the samples tend to, before rounding and bounds.
  double mean() const;

 private:
  enum class Kind : uint8_t { kChoice, kUniform, kNormal, kLogNormal, kWeighted };
  static Result<LengthSpec> parse_normal(std::string_view text);
  static Result<LengthSpec> parse_log_normal(std::string_view text);
  static Result<LengthSpec> parse_uniform(std::string_view text);
  static Result<LengthSpec> parse_zipf(std::string_view text);
  static Result<LengthSpec> parse_file(std::string_view text);
  Kind kind_ = Kind::kChoice;
  std::vector<int64_t> choices_;
  std::vector<double> weight_sums_;  // kWeighted: of the choices up to each
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
