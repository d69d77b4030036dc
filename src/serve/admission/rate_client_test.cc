#include "serve/admission/rate_client.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace sis::admission {
namespace {

TrustedProxies proxies(const std::vector<std::string>& items) {
  auto parsed = TrustedProxies::parse(items);
  EXPECT_TRUE(parsed.ok());
  return parsed.ok() ? *parsed : TrustedProxies();
}

TEST(TrustedProxies, ContainNetworks) {
  const auto trusted = proxies({"10.0.0.0/8", "192.168.1.7", "fd00::/9", "172.16.0.0/12"});
  const auto has = [&](const char* text) { return trusted.contains(*parse_ip(text)); };
  EXPECT_TRUE(has("10.255.0.1") && has("192.168.1.7") && has("fd7f::1") && has("172.31.9.9"));
  EXPECT_TRUE(has("::ffff:10.0.0.1"));
  EXPECT_FALSE(has("11.0.0.1") || has("192.168.1.8") || has("fd80::1") || has("172.32.0.1"));
  EXPECT_FALSE(has("a00::1"));
  EXPECT_TRUE(proxies({"0.0.0.0/0"}).contains(*parse_ip("8.8.8.8")));
  EXPECT_FALSE(proxies({"0.0.0.0/0"}).contains(*parse_ip("2001:db8::1")));
}

TEST(TrustedProxies, RefuseWhatIsNoNetwork) {
  for (const char* item : {"10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "localhost", "fd00::/129",
                           "1.2.3", "", "10.0.0.0/8/8", "*"}) {
    const auto parsed = TrustedProxies::parse({item});
    ASSERT_FALSE(parsed.ok()) << item;
    EXPECT_NE(parsed.error().message.find(in_quotes(item)), std::string::npos);
  }
}

// Only what trusted proxies wrote counts: the rightmost address that is not one of them.
TEST(ClientAddress, BelievesOnlyTrustedProxies) {
  const auto trusted = proxies({"10.0.0.0/8"});
  EXPECT_EQ(client_address("8.8.8.8", {"1.2.3.4"}, trusted), "8.8.8.8");
  EXPECT_EQ(client_address("10.0.0.1", {"1.2.3.4"}, proxies({})), "10.0.0.1");
  EXPECT_EQ(client_address("10.0.0.1", {}, trusted), "10.0.0.1");
  EXPECT_EQ(client_address("10.0.0.1", {"1.2.3.4"}, trusted), "1.2.3.4");
  EXPECT_EQ(client_address("10.0.0.1", {"6.6.6.6, 1.2.3.4 , 10.0.0.9"}, trusted), "1.2.3.4");
  EXPECT_EQ(client_address("10.0.0.1", {"6.6.6.6", "1.2.3.4", "10.0.0.9"}, trusted), "1.2.3.4");
  EXPECT_EQ(client_address("10.0.0.1", {"1.2.3.4:5678"}, trusted), "1.2.3.4");
  EXPECT_EQ(client_address("10.0.0.1", {"[2001:db8::7]:99"}, trusted), "2001:db8::7");
  EXPECT_EQ(client_address("10.0.0.1", {"10.0.0.2,10.0.0.3"}, trusted), "10.0.0.2");
}

TEST(ClientAddress, StopsAtNonsense) {
  const auto trusted = proxies({"10.0.0.0/8"});
  for (const char* hop : {"", "unknown", "_hidden", "1.2.3.4.5", "999.1.1.1", "[::1", "a,b,",
                          "1.2.3.4\t\x01", "-", "'; drop"})
    EXPECT_EQ(client_address("10.0.0.1", {hop}, trusted), "10.0.0.1") << hop;
  EXPECT_EQ(client_address("10.0.0.1", {"6.6.6.6,nonsense,10.0.0.7"}, trusted), "10.0.0.7");
  std::string chain = "6.6.6.6";
  for (int i = 0; i < 5000; ++i) chain += ", 10.0.0.2";
  EXPECT_EQ(client_address("10.0.0.1", {chain}, trusted), "10.0.0.2");
}

TEST(ClientAddress, AnIpv6NetworkIsOneClient) {
  EXPECT_EQ(rate_name_of("10.1.2.3"), "10.1.2.3");
  EXPECT_EQ(rate_name_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(rate_name_of("2001:db8:1:2:ffff::1"), "2001:db8:1:2::/64");
  EXPECT_EQ(rate_name_of("::ffff:10.1.2.3"), "10.1.2.3");
  EXPECT_EQ(rate_name_of(std::string(1000, 'x')).size(), 64u);
}

}  // namespace
}  // namespace sis::admission
