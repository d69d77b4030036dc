#include "perf/report/shown_url.h"

namespace sis::perf {

std::string shown_url(std::string_view url) {
  const size_t query = url.find('?');
  std::string out(url.substr(0, query));
  if (query != std::string_view::npos && query + 1 < url.size()) out += "?***";
  const size_t scheme = out.find("://");
  if (scheme == std::string::npos) return out;
  const size_t host = scheme + 3;
  const size_t at = out.substr(0, out.find('/', host)).rfind('@');
  if (at != std::string::npos && at >= host) out.replace(host, at - host, "***");
  return out;
}

}  // namespace sis::perf
