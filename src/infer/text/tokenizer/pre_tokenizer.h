// Pre-tokenizers: how the normalised text is cut into pieces.
//
// One class and one row in pre_tokenizer.cc each. Const after making; any thread.
#pragma once

#include <memory>

#include "infer/text/tokenizer/pre_tokenized_string.h"
#include "infer/text/tokenizer/registry.h"

namespace sis::text::tok {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void pre_tokenize(PreTokenizedString& string) const = 0;
  // True when where a piece begins in the input matters for how it is cut.
  virtual bool needs_spans() const { return false; }
  // True when the last step of all is to write bytes as byte-level characters; leave_bytes_raw()
  // then takes that step out.
  virtual bool ends_byte_level() const { return false; }
  virtual void leave_bytes_raw() {}
};

// From the object under "pre_tokenizer".
Result<std::unique_ptr<PreTokenizer>> make_pre_tokenizer(const JsonObject& config);

Result<std::unique_ptr<PreTokenizer>> make_metaspace_pre_tokenizer(const JsonObject& config);

// "prepend_scheme" of Metaspace: whether its mark is put in front of a piece.
enum class PrependScheme : uint8_t { kAlways, kFirst, kNever };
Result<PrependScheme> read_prepend_scheme(const JsonObject& config);

Result<SplitBehavior> read_split_behavior(const JsonObject& config, std::string_view key,
                                          std::string_view fallback);

}  // namespace sis::text::tok
