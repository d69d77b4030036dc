// HTTPS with a certificate made on the spot.
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>

#include "net/http_server.h"
#include "net/raw_client.h"

namespace sis::net {
namespace {

using testing::get;
using testing::post;
using testing::RawClient;

struct Files {
  std::string certificate, key;
};

Files make_certificate(const std::string& folder, const std::string& name) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate, subject);
  X509_sign(certificate, key, EVP_sha256());
  const Files files{folder + "/" + name + ".crt", folder + "/" + name + ".key"};
  FILE* file = std::fopen(files.certificate.c_str(), "w");
  PEM_write_X509(file, certificate);
  std::fclose(file);
  file = std::fopen(files.key.c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return files;
}

// A TLS client on a RawClient's socket.
class TlsClient {
 public:
  explicit TlsClient(uint16_t port, int version_max = TLS1_3_VERSION) : raw_(port) {
    context_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context_, 0);
    SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_, version_max);
    ssl_ = SSL_new(context_);
    SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>("\x02h2\x08http/1.1"), 12);
    SSL_set_fd(ssl_, raw_.socket());
    connected_ = SSL_connect(ssl_) == 1;
    ERR_clear_error();
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  bool connected() const { return connected_; }
  std::string alpn() const {
    const unsigned char* name = nullptr;
    unsigned bytes = 0;
    SSL_get0_alpn_selected(ssl_, &name, &bytes);
    return {reinterpret_cast<const char*>(name), bytes};
  }
  bool send(std::string_view bytes) {
    return SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) > 0;
  }
  // Reads until `text` has been seen or the end.
  std::string read_until(std::string_view text) {
    char buffer[65536];
    while (text.empty() || got_.find(text) == std::string::npos) {
      const int bytes = SSL_read(ssl_, buffer, sizeof buffer);
      if (bytes <= 0) break;
      got_.append(buffer, static_cast<size_t>(bytes));
    }
    return got_;
  }
  bool clean_end() { return (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0; }
  void close() { raw_.close(); }

 private:
  RawClient raw_;
  SSL_CTX* context_;
  SSL* ssl_;
  bool connected_;
  std::string got_;
};

class HttpServerTlsTest : public ::testing::Test {
 protected:
  HttpServerTlsTest() {
    char pattern[] = "/tmp/sis-tls-XXXXXX";
    folder = ::mkdtemp(pattern);
    files = make_certificate(folder, "server");
    options.address = "127.0.0.1";
    options.port = 0;
    options.tls_certificate_file = files.certificate;
    options.tls_key_file = files.key;
  }
  ~HttpServerTlsTest() override {
    if (server) server->stop();
    std::filesystem::remove_all(folder);
  }
  void start() {
    auto created = HttpServer::create(options, [this](std::shared_ptr<Exchange> exchange) {
      if (exchange->request().path == "/park") {
        exchange->on_cancel([this] { gone.set_value(); });
        parked = exchange;
        here.set_value();
        return;
      }
      if (exchange->request().path == "/large")
        return exchange->respond(
            {.body = std::string(8 << 20, 'l') + "<end>", .compressible = false});
      exchange->respond({.body = concat("<", exchange->request().body.size(), ">")});
    });
    ASSERT_TRUE(created) << created.error().message;
    server = std::move(created).value();
    server->start();
  }

  std::string folder;
  Files files;
  ServerOptions options;
  std::promise<void> here, gone;
  std::shared_ptr<Exchange> parked;
  std::unique_ptr<HttpServer> server;
};

TEST_F(HttpServerTlsTest, ServesOverTls12And13) {
  start();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(server->port(), version);
    ASSERT_TRUE(client.connected());
    EXPECT_EQ(client.alpn(), "http/1.1");
    client.send(get("/a") + post("/b", std::string(100'000, 'b')));
    EXPECT_NE(client.read_until("<100000>").find("<0>"), std::string::npos);
    client.send(get("/large", "Connection: close\r\n"));
    EXPECT_GT(client.read_until("<end>").size(), 8u << 20);
    client.read_until("");
    EXPECT_TRUE(client.clean_end());
  }
}

TEST_F(HttpServerTlsTest, RefusesOldVersionsAndPlainText) {
  options.header_timeout = std::chrono::milliseconds(200);
  start();
  EXPECT_FALSE(TlsClient(server->port(), TLS1_1_VERSION).connected());
  RawClient plain(server->port());
  plain.send(get("/"));
  EXPECT_EQ(plain.read().status, 0);
  RawClient silent(server->port());
  EXPECT_TRUE(silent.at_end());  // a handshake must come within the header timeout
}

TEST_F(HttpServerTlsTest, NoticesADisconnectWhileTheHandlerWorks) {
  start();
  TlsClient client(server->port());
  client.send(get("/park"));
  ASSERT_EQ(here.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  client.close();
  EXPECT_EQ(gone.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_TRUE(parked->cancelled());
}

TEST_F(HttpServerTlsTest, NamesTheFileThatIsWrong) {
  const auto refused = [&](const std::string& certificate, const std::string& key) {
    ServerOptions wrong = options;
    wrong.tls_certificate_file = certificate;
    wrong.tls_key_file = key;
    const auto made = HttpServer::create(wrong, [](std::shared_ptr<Exchange>) {});
    return made ? std::string() : made.error().message;
  };
  const Files other = make_certificate(folder, "other");
  const std::string junk = folder + "/junk.pem";
  std::ofstream(junk) << "not a certificate";
  EXPECT_NE(refused("/absent.crt", files.key).find("/absent.crt"), std::string::npos);
  EXPECT_NE(refused(junk, files.key).find("junk.pem"), std::string::npos);
  EXPECT_NE(refused(files.certificate, junk).find("junk.pem"), std::string::npos);
  EXPECT_NE(refused(files.certificate, other.key).find("other.key"), std::string::npos);
}

}  // namespace
}  // namespace sis::net
