// Normalizers: what tokenizer.json does to the text before it is cut up.
//
// One class and one row in normalizer.cc each. Const after making; any thread.
#pragma once

#include <memory>

#include "infer/text/tokenizer/normalized_string.h"
#include "infer/text/tokenizer/registry.h"

namespace sis::text::tok {

// Changes that a thread keeps room for between texts.
inline constexpr size_t kChangesKept = 131'072;

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void normalize(NormalizedString& string) const = 0;
};

// From the object under "normalizer".
Result<std::unique_ptr<Normalizer>> make_normalizer(const JsonObject& config);

Result<std::unique_ptr<Normalizer>> make_bert_normalizer(const JsonObject& config);
Result<std::unique_ptr<Normalizer>> make_precompiled_normalizer(const JsonObject& config);

}  // namespace sis::text::tok
