// URLs as they may stand in reports, which are passed on: without what is often a secret.
#pragma once

#include <string>
#include <string_view>

namespace sis::perf {

// "http://me:pw@host/v1?key=1" -> "http://***@host/v1?***"; also a path alone, or a flag with a URL
// as its value.
std::string shown_url(std::string_view url);

}  // namespace sis::perf
