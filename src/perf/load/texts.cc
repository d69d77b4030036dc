#include "perf/load/texts.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/file.h"
#include "base/strings.h"
#include "perf/load/words.h"

namespace sis::perf {
namespace {

constexpr size_t kFileBytesMax = size_t{256} << 20;
constexpr size_t kHistogramBytesMax = size_t{16} << 20;

Error bad(std::string_view text, std::string_view why) {
  return Error{Code::kInvalidArgument, concat("lengths ", in_quotes(text), ": ", why)};
}

std::optional<int64_t> word_count(std::string_view text) {
  const auto value = parse_int(trim(text));
  if (!value || *value < 1 || *value > LengthSpec::kWordsMax) return std::nullopt;
  return value;
}

}  // namespace

Result<LengthSpec> LengthSpec::parse_normal(std::string_view text) {
  LengthSpec spec;
  spec.kind_ = Kind::kNormal;
  const auto parts = split(text, ':');
  if (parts.size() != 3) return bad(text, "want normal:MEAN:DEVIATION");
  const auto mean = parse_double(parts[1]), sigma = parse_double(parts[2]);
  if (!mean || *mean < 1 || *mean > kWordsMax)
    return bad(text, concat("mean: want 1..", kWordsMax, " words"));
  if (!sigma || *sigma < 0 || *sigma > kWordsMax)
    return bad(text, concat("deviation: want 0..", kWordsMax, " words"));
  spec.mean_ = *mean;
  spec.sigma_ = *sigma;
  return spec;
}

Result<LengthSpec> LengthSpec::parse_log_normal(std::string_view text) {
  LengthSpec spec;
  spec.kind_ = Kind::kLogNormal;
  const auto parts = split(text, ':');
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

Result<LengthSpec> LengthSpec::parse_uniform(std::string_view text) {
  LengthSpec spec;
  spec.kind_ = Kind::kUniform;
  const auto parts = split(text, ':');
  const auto low = parts.size() == 3 ? word_count(parts[1]) : std::nullopt;
  const auto high = parts.size() == 3 ? word_count(parts[2]) : std::nullopt;
  if (!low || !high || *low > *high)
    return bad(text, concat("want uniform:LOW:HIGH with 1 <= LOW <= HIGH <= ", kWordsMax));
  spec.low_ = *low;
  spec.high_ = *high;
  return spec;
}

Result<LengthSpec> LengthSpec::parse_zipf(std::string_view text) {
  LengthSpec spec;
  spec.kind_ = Kind::kWeighted;
  const auto parts = split(text, ':');
  const bool shaped = parts.size() == 3 || parts.size() == 4;
  const auto low = shaped ? word_count(parts[1]) : std::nullopt;
  const auto high = shaped ? word_count(parts[2]) : std::nullopt;
  if (!low || !high || *low > *high)
    return bad(text, concat("want zipf:LOW:HIGH[:S] with 1 <= LOW <= HIGH <= ", kWordsMax));
  const auto s = parts.size() == 4 ? parse_double(parts[3]) : 1.0;
  if (!s || *s < 0 || *s > 10) return bad(text, "S: want 0..10");
  double sum = 0;
  for (int64_t words = *low; words <= *high; ++words) {
    sum += std::pow(static_cast<double>(words - *low + 1), -*s);
    spec.choices_.push_back(words);
    spec.weight_sums_.push_back(sum);
  }
  return spec;
}

Result<LengthSpec> LengthSpec::parse_file(std::string_view text) {
  LengthSpec spec;
  spec.kind_ = Kind::kWeighted;
  const std::string path(text.substr(text.find(':') + 1));
  SIS_ASSIGN(const std::string content, read_file(path, kHistogramBytesMax));
  double sum = 0;
  size_t number = 0;
  for (const std::string& whole : split(content, '\n')) {
    ++number;
    const std::string_view line = trim(whole);
    if (line.empty() || line.front() == '#') continue;
    const size_t gap = line.find_first_of(", \t");
    const auto words = word_count(line.substr(0, gap));
    const auto count = gap == std::string_view::npos
                           ? std::optional(1.0)
                           : parse_double(trim(line.substr(line.find_first_not_of(", \t", gap))));
    if (!words || !count || *count < 0 || *count > 1e15)
      return Error{Code::kInvalidArgument,
                   concat(path, ": line ", number, ": want 'WORDS COUNT' with words 1..", kWordsMax,
                          ", found ", in_quotes(line, 40))};
    sum += *count;
    spec.choices_.push_back(*words);
    spec.weight_sums_.push_back(sum);
  }
  if (sum <= 0)
    return Error{Code::kInvalidArgument,
                 concat(path, ": want lines 'WORDS COUNT' with counts above 0, found none")};
  return spec;
}

Result<LengthSpec> LengthSpec::parse(std::string_view text) {
  const std::string_view kind = text.substr(0, text.find(':'));
  if (kind.size() < text.size()) {
    if (kind == "normal") return parse_normal(text);
    if (kind == "lognormal") return parse_log_normal(text);
    if (kind == "uniform") return parse_uniform(text);
    if (kind == "zipf") return parse_zipf(text);
    if (kind == "file") return parse_file(text);
    if (kind == "fixed") text.remove_prefix(kind.size() + 1);
  } else if (kind == "lognormal" || kind == "uniform") {
    return bad(text, concat("want ", kind, ":..., see --help"));
  }
  LengthSpec spec;
  for (const auto& item : split_list(text)) {
    const auto words = word_count(item);
    if (!words)
      return bad(text, concat(in_quotes(item, 20), ": want word counts 1..", kWordsMax,
                              ", uniform:LOW:HIGH, normal:MEAN:DEVIATION, lognormal:MEAN, "
                              "zipf:LOW:HIGH or file:PATH"));
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
    case Kind::kNormal: {
      const double words = std::round(mean_ + sigma_ * rng.normal());
      return static_cast<int64_t>(std::clamp(words, 1.0, static_cast<double>(kWordsMax)));
    }
    case Kind::kLogNormal: {
      // The mean of exp(N(m, s)) is exp(m + s^2 / 2).
      const double m = std::log(mean_) - sigma_ * sigma_ / 2;
      const double words = std::round(std::exp(m + sigma_ * rng.normal()));
      return std::clamp<int64_t>(static_cast<int64_t>(words), 1, kWordsMax);
    }
    case Kind::kWeighted: {
      const double at = rng.uniform() * weight_sums_.back();
      const auto found = std::upper_bound(weight_sums_.begin(), weight_sums_.end(), at);
      return choices_[static_cast<size_t>(std::min(found, weight_sums_.end() - 1) -
                                          weight_sums_.begin())];
    }
  }
  return 1;
}

double LengthSpec::mean() const {
  switch (kind_) {
    case Kind::kUniform:
      return static_cast<double>(low_ + high_) / 2;
    case Kind::kNormal:
    case Kind::kLogNormal:
      return mean_;
    case Kind::kChoice:
    case Kind::kWeighted:
      break;
  }
  double sum = 0, weights = 0, before = 0;
  for (size_t i = 0; i < choices_.size(); ++i) {
    const double weight = kind_ == Kind::kChoice ? 1 : weight_sums_[i] - before;
    before += weight;
    sum += weight * static_cast<double>(choices_[i]);
    weights += weight;
  }
  return sum / weights;
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
  auto text = read_file(path, kFileBytesMax);
  if (!text.ok() && text.error().code == Code::kNotFound)
    return Error{Code::kNotFound,
                 concat("text file ", in_quotes(path), ": No such file or directory")};
  if (!text.ok()) return prefixed(concat("text file ", in_quotes(path)), text.error());
  std::vector<std::string> lines;
  std::string_view rest = *text;
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (!is_utf8(line))
      return Error{Code::kInvalidArgument,
                   concat("text file ", in_quotes(path), ": line ", number, " is not UTF-8")};
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!trim(line).empty()) lines.emplace_back(line);
  }
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
