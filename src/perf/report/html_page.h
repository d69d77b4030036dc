// The frame of an HTML report: one file, no outside reference, light and dark. A content security
// policy lets nothing run but the page's own script, so that a text that slipped through stays
// text.
#pragma once

#include <string>
#include <string_view>

namespace sis::perf {

std::string html_page(std::string_view title, std::string_view body);

// The page's script and its SHA-256 in base64, as the policy names it.
std::string_view html_script();
std::string_view html_script_hash();

}  // namespace sis::perf
