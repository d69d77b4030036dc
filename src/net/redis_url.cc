#include "net/redis_url.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "net/http_client_url.h"

namespace sis::net {
namespace {

constexpr size_t kUrlBytesMax = 2048;
constexpr int kDbMax = 1 << 20;

Error bad(std::string_view why) {
  return Error{Code::kInvalidArgument,
               concat("Redis URL: ", why, " (want redis://[[user]:password@]host[:port][/db])")};
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return out;
}

}  // namespace

std::string RedisUrl::place() const {
  const bool brackets = host.find(':') != std::string::npos;
  return concat("redis://", brackets ? "[" : "", host, brackets ? "]" : "", ":", port, "/", db);
}

Result<RedisUrl> parse_redis_url(std::string_view text) {
  if (text.size() > kUrlBytesMax) return bad(concat("longer than ", kUrlBytesMax, " bytes"));
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F)
      return bad("has blanks or bytes that are not printable ASCII");
  const size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return bad("does not begin with redis://");
  const std::string_view scheme = text.substr(0, scheme_end);
  if (iequals(scheme, "rediss"))
    return bad("TLS (rediss://) is not supported; use redis:// to a local TLS tunnel");
  if (!iequals(scheme, "redis")) return bad("its scheme is not redis");
  std::string_view rest = text.substr(scheme_end + 3);

  RedisUrl url;
  // The last '@': an unencoded one in a password is a common slip that does no harm.
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view login = rest.substr(0, at);
    rest.remove_prefix(at + 1);
    const size_t colon = login.find(':');
    if (colon == std::string_view::npos)
      return bad("has a user without a password; a password alone is :password@");
    auto user = percent_decoded(login.substr(0, colon));
    auto password = percent_decoded(login.substr(colon + 1));
    if (!user || !password) return bad("'%' in user or password wants two hexadecimal digits");
    if (!user->empty() && password->empty()) return bad("has a user without a password");
    url.user = std::move(*user);
    url.password = std::move(*password);
  }
  if (rest.find_first_of("?#") != std::string_view::npos)
    return bad("has a query or fragment, which mean nothing here");
  if (const size_t slash = rest.find('/'); slash != std::string_view::npos) {
    const std::string_view db = rest.substr(slash + 1);
    rest = rest.substr(0, slash);
    if (!db.empty()) {
      const auto number = parse_int(db);
      if (!number || *number < 0 || *number > kDbMax || db.front() == '+')
        return bad("its database is not a number from 0");
      url.db = static_cast<int>(*number);
    }
  }
  // Host and port have the form they have in any URL. The message of that parser repeats its
  // argument: by now without the login.
  auto place = parse_url(concat("http://", rest));
  if (!place.ok()) return bad(concat("its host and port ", in_quotes(rest), " are not valid"));
  url.host = place->host;
  const size_t bracket = rest.rfind(']');
  const size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) url.port = place->port;
  return url;
}

}  // namespace sis::net
