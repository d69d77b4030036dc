// Text that is safe inside HTML and SVG, whoever wrote it.
#pragma once

#include <string>
#include <string_view>

namespace sis::perf {

// For element content and quoted attributes: < > & " ' become entities; control characters, bytes
// that are not UTF-8 and marks that turn the direction of writing become U+FFFD.
std::string html_escaped(std::string_view text);

}  // namespace sis::perf
