// The client side of TLS against an OpenSSL server with a self-signed certificate made for the
// test.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>

#include <memory>

#include "base/strings.h"
#include "net/http_client.h"
#include "net/http_client_test_server.h"
#include "perf/load/plain_http.h"
#include "perf/load/run.h"

namespace sis::perf {
namespace {

using net::ScriptedServer;

// A server context whose certificate says CN=localhost and is signed by nobody else.
SSL_CTX* self_signed_context() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_sign(certificate, key, EVP_sha256());
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate(context, certificate);
  SSL_CTX_use_PrivateKey(context, key);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return context;
}

class TlsClient : public testing::Test {
 protected:
  TlsClient() { signal(SIGPIPE, SIG_IGN); }  // OpenSSL writes without MSG_NOSIGNAL

  // Answers each request with `body_`, head and body in separate TLS records.
  void serve(ScriptedServer::Peer& peer) {
    SSL* ssl = SSL_new(context_.get());
    SSL_set_fd(ssl, peer.fd());
    peer.wait(before_handshake_);
    if (SSL_accept(ssl) == 1) {
      std::string received;
      char piece[4096];
      for (int n; (n = SSL_read(ssl, piece, sizeof piece)) > 0;) {
        received.append(piece, static_cast<size_t>(n));
        for (size_t end; (end = received.find("\r\n\r\n")) != std::string::npos;
             received.erase(0, end + 4)) {
          const std::string head =
              concat("HTTP/1.1 200 OK\r\nContent-Length: ", body_.size(), "\r\n\r\n");
          SSL_write(ssl, head.data(), static_cast<int>(head.size()));
          SSL_write(ssl, body_.data(), static_cast<int>(body_.size()));
        }
      }
    }
    SSL_free(ssl);
  }

  std::chrono::milliseconds before_handshake_{0};
  std::string body_ = std::string(40'000, 'b');  // more than two records
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_{self_signed_context(), SSL_CTX_free};
  ScriptedServer server_{[this](ScriptedServer::Peer& peer) { serve(peer); }};
  net::Url url_ = *net::parse_url(concat("https://127.0.0.1:", server_.port()));
};

TEST_F(TlsClient, FetchReadsTheWholeBodyWhenTheCertificateIsNotChecked) {
  const auto response = net::fetch(url_, {.verify_tls = false});
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ(response->body, body_);
}

TEST_F(TlsClient, AnUnknownCertificateIsRefusedWithItsReason) {
  const auto response = net::fetch(url_, {.verify_tls = true});
  ASSERT_FALSE(response.ok());
  EXPECT_NE(response.error().message.find("certificate verify failed"), std::string::npos)
      << response.error().message;
  const auto result = run_load({.url = url_, .verify_tls = true},
                               **PlainHttpWorkload::create({.url = url_}), nullptr, nullptr);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("certificate verify failed"), std::string::npos)
      << result.error().message;
}

TEST_F(TlsClient, LoadRunsOverKeptConnections) {
  const auto workload = PlainHttpWorkload::create({.url = url_});
  const auto result =
      run_load({.url = url_, .connections = 3, .requests = 60}, **workload, nullptr, nullptr);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->tally.ok, 60u);
  EXPECT_EQ(result->tally.failed, 0u);
  EXPECT_EQ(result->tally.connects, 3u);
  EXPECT_GE(result->tally.bytes_in, 60u * 40'000);
}

// Without kept connections every request pays for its own, the first ones too.
TEST_F(TlsClient, EachRequestsConnectionIsInItsLatency) {
  before_handshake_ = std::chrono::milliseconds(20);
  const auto workload = PlainHttpWorkload::create({.url = url_});
  for (const double rate : {0.0, 500.0}) {
    for (const uint64_t warmup : {0, 2}) {
      const auto result = run_load({.url = url_,
                                    .connections = 3,
                                    .keep_alive = false,
                                    .rate = rate,
                                    .requests = 9,
                                    .warmup_requests = warmup},
                                   **workload, nullptr, nullptr);
      ASSERT_TRUE(result.ok()) << result.error().message;
      EXPECT_EQ(result->tally.ok, 9u);
      EXPECT_EQ(result->tally.connects, 9u + warmup);
      EXPECT_GE(result->tally.latency.min_ms(), 20) << rate << " " << warmup;
    }
  }
}

}  // namespace
}  // namespace sis::perf
