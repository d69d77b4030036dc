#include "infer/text/tokenizer/pattern.h"

namespace sis::text::tok {

Result<Pattern> Pattern::from(const JsonObject& config, std::string_view key) {
  Pattern pattern;
  // Files from before patterns had a kind give the string itself.
  std::string_view bare;
  if (const auto element = config.find(key); element && element->get(bare) == simdjson::SUCCESS) {
    pattern.literal_ = bare;
  } else {
    SIS_ASSIGN(const auto object, config.object(key));
    if (object.find("Regex")) {
      SIS_ASSIGN(const std::string_view source, object.string("Regex"));
      auto regex = Regex::compile(source);
      if (!regex) return prefixed(object.path(), regex.error());
      pattern.regex_ = std::move(regex).value();
      pattern.known_ = known_split(source);
      return pattern;
    }
    SIS_ASSIGN(pattern.literal_, object.string("String"));
  }
  if (pattern.literal_.empty()) {  // matches between all characters, as a regex does
    SIS_ASSIGN(pattern.regex_, Regex::compile(""));
  }
  return pattern;
}

}  // namespace sis::text::tok
