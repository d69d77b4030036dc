// A parser of whole JSON answers and its buffer, for all answers of one judge.
#pragma once

#include <simdjson.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"

namespace sis::perf {

class JsonAnswer {
 public:
  // The document lives until the next call. Allocates only when the text is the largest yet.
  simdjson::error_code read(std::string_view text, simdjson::dom::element& document) {
    // simdjson reads past the end: a copy with room behind it.
    if (padded_.size() < text.size() + simdjson::SIMDJSON_PADDING)
      padded_.resize(text.size() * 2 + simdjson::SIMDJSON_PADDING);
    std::copy(text.begin(), text.end(), padded_.begin());
    return parser_.parse(padded_.data(), text.size(), false).get(document);
  }
  // The same with what is wrong with the text, empty when nothing is.
  std::string parse(std::string_view text, simdjson::dom::element& document) {
    const auto error = read(text, document);
    if (!error) return {};
    return concat("answer is not JSON (", simdjson::error_message(error),
                  "): ", in_quotes(text, 60));
  }

 private:
  simdjson::dom::parser parser_;
  std::vector<char> padded_;
};

}  // namespace sis::perf
