// Unicode normalization forms and grapheme clusters, step by step as the Rust crates under the
// `tokenizers` library take them, so that the alignment of every character comes out the same.
//
// Sources: UAX #15 (normalization forms), UAX #29 (grapheme cluster boundaries GB3-GB13).
#pragma once

#include <string_view>
#include <vector>

#include "infer/text/tokenizer/normalized_string.h"

namespace sis::text::tok {

enum class Form : uint8_t { kNfc, kNfd, kNfkc, kNfkd };

// True when a glance shows that the form leaves `text` as it is; false does not mean that it
// changes.
bool surely_in_form(std::string_view text, Form form);

// The changes that bring `text` into `form`, appended to `out` (cleared first).
void changes_to_form(std::string_view text, Form form, std::vector<Change>& out);

// Bytes of the extended grapheme cluster that begins at text[at].
size_t cluster_length(std::string_view text, size_t at);

}  // namespace sis::text::tok
