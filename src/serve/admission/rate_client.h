// Who a request counts against when it comes without a key: its address.
//
// Behind proxies the address is what X-Forwarded-For says, but only as far as proxies we trust have
// written it: from the right, the first address that is not a trusted proxy's.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sis::admission {

// IPv4 as ::ffff:a.b.c.d.
using IpAddress = std::array<uint8_t, 16>;

// "10.0.0.1", "2001:db8::1"; nothing else.
std::optional<IpAddress> parse_ip(std::string_view text);

class TrustedProxies {
 public:
  // Addresses and networks: "10.0.0.0/8", "fd00::/8", "127.0.0.1".
  static Result<TrustedProxies> parse(const std::vector<std::string>& items);

  bool contains(const IpAddress& address) const;
  bool empty() const { return networks_.empty(); }

 private:
  struct Network {
    IpAddress prefix{};
    int bits = 128;
  };
  std::vector<Network> networks_;
};

// `peer` as the socket says; `forwarded` the values of X-Forwarded-For in order. Looks at no more
// than 32 hops. A hop that is no address ends the search at the one before it.
std::string client_address(std::string_view peer, const std::vector<std::string_view>& forwarded,
                           const TrustedProxies& trusted);

// What an address is limited by: itself, or the /64 network of an IPv6 address, since its owner has
// all of that.
std::string rate_name_of(std::string_view address);

}  // namespace sis::admission
