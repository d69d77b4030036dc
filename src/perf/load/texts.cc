#include "perf/load/texts.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include "base/strings.h"
#include "perf/load/words.h"

namespace sis::perf {
namespace {

constexpr size_t kFileBytesMax = size_t{256} << 20;

Error bad(std::string_view text, std::string_view why) {
  return Error{Code::kInvalidArgument, concat("lengths ", in_quotes(text), ": ", why)};
}

std::optional<int64_t> word_count(std::string_view text) {
  const auto value = parse_int(trim(text));
  if (!value || *value < 1 || *value > LengthSpec::kWordsMax) return std::nullopt;
  return value;
}

}  // namespace

Result<LengthSpec> LengthSpec::parse(std::string_view text) {
  LengthSpec spec;
  const auto parts = split(text, ':');
  if (parts[0] == "lognormal") {
    spec.kind_ = Kind::kLogNormal;
    if (parts.size() != 2 && parts.size() != 3)
      return bad(text, "want lognormal:MEAN or lognormal:MEAN:SIGMA");
    const auto mean = parse_double(parts[1]);
    if (!mean || *mean < 1 || *mean > kWordsMax)
      return bad(text, concat("mean: want 1..", kWordsMax, " words"));
    spec.mean_ = *mean;
    if (parts.size() == 3) {
      const auto sigma = parse_double(parts[2]);
      if (!sigma || *sigma <= 0 || *sigma > 3) return bad(text, "sigma: want above 0, at most 3");
      spec.sigma_ = *sigma;
    }
    return spec;
  }
  if (parts[0] == "uniform") {
    spec.kind_ = Kind::kUniform;
    const auto low = parts.size() == 3 ? word_count(parts[1]) : std::nullopt;
    const auto high = parts.size() == 3 ? word_count(parts[2]) : std::nullopt;
    if (!low || !high || *low > *high)
      return bad(text, concat("want uniform:LOW:HIGH with 1 <= LOW <= HIGH <= ", kWordsMax));
    spec.low_ = *low;
    spec.high_ = *high;
    return spec;
  }
  for (const auto& item : split_list(text)) {
    const auto words = word_count(item);
    if (!words)
      return bad(text, concat(in_quotes(item, 20), ": want word counts 1..", kWordsMax,
                              ", uniform:LOW:HIGH or lognormal:MEAN"));
    spec.choices_.push_back(*words);
  }
  if (spec.choices_.empty()) return bad(text, "want at least one word count");
  return spec;
}

int64_t LengthSpec::sample(Rng& rng) const {
  switch (kind_) {
    case Kind::kChoice:
      return choices_[rng.below(choices_.size())];
    case Kind::kUniform:
      return low_ + static_cast<int64_t>(rng.below(static_cast<uint64_t>(high_ - low_ + 1)));
    case Kind::kLogNormal: {
      // The mean of exp(N(m, s)) is exp(m + s^2 / 2).
      const double m = std::log(mean_) - sigma_ * sigma_ / 2;
      const double words = std::round(std::exp(m + sigma_ * rng.normal()));
      return std::clamp<int64_t>(static_cast<int64_t>(words), 1, kWordsMax);
    }
  }
  return 1;
}

std::string random_text(Rng& rng, int64_t words) {
  std::string text;
  for (int64_t i = 0; i < words; ++i) {
    if (i > 0) text += ' ';
    text += kCommonWords[rng.below(kCommonWords.size())];
  }
  return text;
}

Result<std::vector<std::string>> read_lines(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return Error{Code::kNotFound,
                 concat("text file ", in_quotes(path), ": ", std::strerror(errno))};
  std::vector<std::string> lines;
  std::string line;
  size_t bytes = 0;
  for (size_t number = 1; std::getline(file, line); ++number) {
    bytes += line.size() + 1;
    if (bytes > kFileBytesMax)
      return Error{Code::kTooLarge,
                   concat("text file ", in_quotes(path), ": over ", kFileBytesMax >> 20, " MiB")};
    if (!is_utf8(line))
      return Error{Code::kInvalidArgument,
                   concat("text file ", in_quotes(path), ": line ", number, " is not UTF-8")};
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!trim(line).empty()) lines.push_back(line);
  }
  if (file.bad())
    return Error{Code::kUnavailable, concat("text file ", in_quotes(path), ": cannot be read")};
  if (lines.empty())
    return Error{Code::kInvalidArgument,
                 concat("text file ", in_quotes(path), ": has no line with text")};
  return lines;
}

void write_tag(uint64_t number, char* out) {
  for (size_t i = 0; i < kTagWords; ++i) {
    const auto byte = static_cast<size_t>(number >> (8 * (kTagWords - 1 - i)) & 0xFF);
    std::memcpy(out, kFourLetterWords[byte].data(), 4);
    if (i + 1 < kTagWords) out[4] = ' ';
    out += 5;
  }
}

}  // namespace sis::perf
