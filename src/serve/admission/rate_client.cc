#include "serve/admission/rate_client.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "base/strings.h"

namespace sis::admission {
namespace {

constexpr int kHopsMax = 32;
constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

bool is_v4(const IpAddress& address) {
  return std::equal(kMapped.begin(), kMapped.end(), address.begin());
}

std::string to_text(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (is_v4(address))
    inet_ntop(AF_INET, &address[12], text, sizeof text);
  else
    inet_ntop(AF_INET6, address.data(), text, sizeof text);
  return text;
}

// A hop as proxies write it: perhaps with a port, IPv6 then in brackets.
std::optional<IpAddress> parse_hop(std::string_view hop) {
  hop = trim(hop);
  if (hop.starts_with('[')) {
    const size_t end = hop.find(']');
    return end == hop.npos ? std::nullopt : parse_ip(hop.substr(1, end - 1));
  }
  if (const size_t colon = hop.find(':'); colon != hop.npos && colon == hop.rfind(':'))
    hop = hop.substr(0, colon);
  return parse_ip(hop);
}

}  // namespace

std::optional<IpAddress> parse_ip(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  const std::string copy(text);
  if (copy.size() != std::strlen(copy.c_str())) return std::nullopt;
  IpAddress address{};
  if (inet_pton(AF_INET6, copy.c_str(), address.data()) == 1) return address;
  std::copy(kMapped.begin(), kMapped.end(), address.begin());
  if (inet_pton(AF_INET, copy.c_str(), &address[12]) == 1) return address;
  return std::nullopt;
}

Result<TrustedProxies> TrustedProxies::parse(const std::vector<std::string>& items) {
  TrustedProxies proxies;
  for (const std::string& item : items) {
    const size_t slash = item.find('/');
    const auto address = parse_ip(std::string_view(item).substr(0, slash));
    const int most = item.find(':') == item.npos ? 32 : 128;
    const auto bits =
        slash == item.npos ? std::optional<int64_t>(most) : parse_int(item.substr(slash + 1));
    if (!address || !bits || *bits < 0 || *bits > most)
      return Error{Code::kInvalidArgument,
                   concat("want addresses and networks such as 10.0.0.0/8 or fd00::1, got ",
                          in_quotes(item))};
    proxies.networks_.push_back({*address, static_cast<int>(*bits) + 128 - most});
  }
  return proxies;
}

bool TrustedProxies::contains(const IpAddress& address) const {
  return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
    const auto whole = static_cast<size_t>(network.bits / 8);
    const int rest = network.bits % 8;
    if (!std::equal(address.begin(), address.begin() + whole, network.prefix.begin())) return false;
    return rest == 0 || (address[whole] ^ network.prefix[whole]) >> (8 - rest) == 0;
  });
}

std::string client_address(std::string_view peer, const std::vector<std::string_view>& forwarded,
                           const TrustedProxies& trusted) {
  auto client = parse_ip(peer);
  if (!client || trusted.empty()) return std::string(peer);
  int hops = 0;
  for (auto line = forwarded.rbegin(); line != forwarded.rend(); ++line) {
    std::string_view rest = *line;
    while (true) {
      if (!trusted.contains(*client) || ++hops > kHopsMax) return to_text(*client);
      const size_t comma = rest.rfind(',');
      const auto hop = parse_hop(comma == rest.npos ? rest : rest.substr(comma + 1));
      if (!hop) return to_text(*client);
      client = hop;
      if (comma == rest.npos) break;
      rest = rest.substr(0, comma);
    }
  }
  return to_text(*client);
}

std::string rate_name_of(std::string_view address) {
  auto parsed = parse_ip(address);
  if (!parsed) return std::string(address.substr(0, 64));
  if (is_v4(*parsed)) return to_text(*parsed);
  std::fill(parsed->begin() + 8, parsed->end(), 0);
  return to_text(*parsed) + "/64";
}

}  // namespace sis::admission
