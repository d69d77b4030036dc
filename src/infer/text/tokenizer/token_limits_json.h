// Reading token_limits.h's parts of tokenizer.json.
#pragma once

#include <optional>

#include "infer/text/tokenizer/json.h"
#include "infer/text/tokenizer/token_limits.h"

namespace sis::text::tok {

// Nothing when the part is null or absent.
Result<std::optional<Truncation>> read_truncation(const JsonObject& config);
Result<std::optional<Padding>> read_padding(const JsonObject& config);

}  // namespace sis::text::tok
