#include "net/http_client_url.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/strings.h"

namespace sis::net {
namespace {

constexpr size_t kUrlBytesMax = 2048;

// With an '@' it may hold a password, which must not get into a log.
Error bad(std::string_view text, std::string_view why) {
  if (text.find('@') != std::string_view::npos)
    return Error{Code::kInvalidArgument, concat("URL: ", why)};
  return Error{Code::kInvalidArgument, concat("URL ", in_quotes(text, 120), ": ", why)};
}

bool is_host_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}

// Labels of 1..63 bytes, at most 253 in all, no label beginning or ending with '-'. '_' is not a
// host byte by RFC 1123, yet container networks use it.
bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  if (host.back() == '.') host.remove_suffix(1);
  for (const auto& label : split(host, '.')) {
    if (label.empty() || label.size() > 63) return false;
    if (label.front() == '-' || label.back() == '-') return false;
    if (!std::all_of(label.begin(), label.end(), is_host_byte)) return false;
  }
  return true;
}

bool looks_like_ipv4(std::string_view host) {
  return std::all_of(host.begin(), host.end(),
                     [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

}  // namespace

std::string Url::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : concat("[", host, "]");
  if (port != (tls ? 443 : 80)) out += concat(":", port);
  return out;
}

std::string Url::text() const { return concat(tls ? "https://" : "http://", authority(), target); }

Result<Url> parse_url(std::string_view text) {
  if (text.size() > kUrlBytesMax) return bad(text, concat("want at most ", kUrlBytesMax, " bytes"));
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F)
      return bad(text, "want printable ASCII without blanks");

  Url url;
  std::string_view rest = text;
  const size_t scheme_end = rest.find("://");
  if (scheme_end == std::string_view::npos) return bad(text, "want http://host or https://host");
  const auto scheme = rest.substr(0, scheme_end);
  if (iequals(scheme, "https"))
    url.tls = true;
  else if (!iequals(scheme, "http"))
    return bad(text, "want http or https before ://");
  rest.remove_prefix(scheme_end + 3);
  url.port = url.tls ? 443 : 80;

  if (rest.find('#') != std::string_view::npos)
    return bad(text, "a fragment is never sent; leave out '#'");
  const size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, authority_end);
  url.target = rest.substr(authority_end);
  if (!url.target.empty() && url.target[0] == '?') url.target.insert(0, "/");
  if (authority.find('@') != std::string_view::npos)
    return bad(text, "user names and passwords in the URL are not supported");

  std::string_view port;
  bool has_port = false;
  if (!authority.empty() && authority[0] == '[') {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad(text, "']' of the IPv6 address is missing");
    url.host = authority.substr(1, close - 1);
    in6_addr parsed;
    if (inet_pton(AF_INET6, url.host.c_str(), &parsed) != 1)
      return bad(text, concat(in_quotes(url.host), " is no IPv6 address"));
    authority.remove_prefix(close + 1);
    if (!authority.empty()) {
      if (authority[0] != ':') return bad(text, "want ':port' after ']'");
      has_port = true;
      port = authority.substr(1);
    }
  } else {
    const size_t colon = authority.find(':');
    has_port = colon != std::string_view::npos;
    if (has_port) port = authority.substr(colon + 1);
    url.host = authority.substr(0, colon);
    if (url.host.empty()) return bad(text, "the host is missing");
    if (looks_like_ipv4(url.host)) {
      in_addr parsed;
      if (inet_pton(AF_INET, url.host.c_str(), &parsed) != 1)
        return bad(text, concat(in_quotes(url.host), " is no IPv4 address"));
    } else if (!is_host_name(url.host)) {
      return bad(text, concat(in_quotes(url.host), " is no host name"));
    }
  }
  if (has_port) {
    const auto value = parse_int(port);
    if (!value || *value < 1 || *value > 65535 || port.size() > 5)
      return bad(text, concat("port ", in_quotes(port, 20), ", want 1..65535"));
    url.port = static_cast<uint16_t>(*value);
  }
  return url;
}

std::string join_target(const Url& base, std::string_view path) {
  std::string_view prefix = base.target;
  prefix = prefix.substr(0, prefix.find('?'));
  while (!prefix.empty() && prefix.back() == '/') prefix.remove_suffix(1);
  return concat(prefix, path);
}

}  // namespace sis::net
