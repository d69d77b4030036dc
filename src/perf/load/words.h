// English words for made-up texts. Common ones, so that most tokenizers make one token of each.
#pragma once

#include <array>
#include <string_view>

namespace sis::perf {

// All of four letters: a number can be written as words of a known width.
extern const std::array<std::string_view, 256> kFourLetterWords;
extern const std::array<std::string_view, 235> kCommonWords;

}  // namespace sis::perf
