#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>

#include "base/strings.h"

namespace sis::net {
namespace {

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

// The first error OpenSSL queued, in words; empties the queue.
std::string openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  const char* reason = ERR_reason_error_string(code);
  return reason ? reason : concat("error ", code);
}

// Of the client's protocols we speak one.
int select_alpn(SSL*, const unsigned char** out, unsigned char* out_bytes, const unsigned char* in,
                unsigned int in_bytes, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  const int rc = SSL_select_next_proto(const_cast<unsigned char**>(out), out_bytes, kHttp11,
                                       sizeof kHttp11 - 1, in, in_bytes);
  return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

class OpenSslSession final : public TlsSession {
 public:
  explicit OpenSslSession(SSL_CTX* context) : ssl_(SSL_new(context)) {
    if (!ssl_) return;
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_accept_state(ssl_.get());
  }

  void put_ciphertext(std::string_view bytes) override {
    if (ssl_) BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
  }

  Read read(std::span<char> space, size_t& bytes) override {
    bytes = 0;
    if (!ssl_ || failed_) return Read::kFailed;
    ERR_clear_error();
    const int rc = SSL_read(ssl_.get(), space.data(), static_cast<int>(space.size()));
    if (rc > 0) {
      bytes = static_cast<size_t>(rc);
      return Read::kSome;
    }
    const int error = SSL_get_error(ssl_.get(), rc);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return Read::kNothing;
    if (error == SSL_ERROR_ZERO_RETURN) return Read::kEnded;
    failed_ = true;
    ERR_clear_error();
    return Read::kFailed;
  }

  bool handshaken() const override { return ssl_ && SSL_is_init_finished(ssl_.get()); }

  bool write(std::string_view plaintext) override {
    if (!ssl_ || failed_) return false;
    while (!plaintext.empty()) {
      ERR_clear_error();
      const int offered = static_cast<int>(std::min<size_t>(plaintext.size(), 1u << 30));
      const int rc = SSL_write(ssl_.get(), plaintext.data(), offered);
      if (rc <= 0) {  // memory takes everything: this is a real failure
        failed_ = true;
        ERR_clear_error();
        return false;
      }
      plaintext.remove_prefix(static_cast<size_t>(rc));
    }
    return true;
  }

  void close() override {
    if (!ssl_ || failed_ || !handshaken()) return;
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }

  void take_ciphertext(std::string& out) override {
    if (!ssl_) return;
    const size_t waiting = BIO_ctrl_pending(out_);
    if (waiting == 0) return;
    const size_t base = out.size();
    out.resize(base + waiting);
    const int taken = BIO_read(out_, out.data() + base, static_cast<int>(waiting));
    out.resize(base + static_cast<size_t>(std::max(taken, 0)));
  }

 private:
  std::unique_ptr<SSL, FreeSsl> ssl_;
  BIO* in_ = nullptr;   // owned by ssl_
  BIO* out_ = nullptr;  // owned by ssl_
  bool failed_ = false;
};

class OpenSslContext final : public TlsContext {
 public:
  explicit OpenSslContext(std::unique_ptr<SSL_CTX, FreeContext> context)
      : context_(std::move(context)) {}
  std::unique_ptr<TlsSession> session() override {
    return std::make_unique<OpenSslSession>(context_.get());
  }

 private:
  std::unique_ptr<SSL_CTX, FreeContext> context_;
};

}  // namespace

Result<std::unique_ptr<TlsContext>> TlsContext::create(const std::string& certificate_file,
                                                       const std::string& key_file) {
  ERR_clear_error();
  std::unique_ptr<SSL_CTX, FreeContext> context(SSL_CTX_new(TLS_server_method()));
  if (!context) return Error{Code::kInternal, concat("TLS: ", openssl_error())};
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE |
                                         SSL_OP_IGNORE_UNEXPECTED_EOF);
  // Idle connections then hold no record buffers.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate_file.c_str()) != 1)
    return Error{Code::kInvalidArgument,
                 concat("TLS certificate ", in_quotes(certificate_file),
                        ": want a PEM certificate chain, found: ", openssl_error())};
  if (SSL_CTX_use_PrivateKey_file(context.get(), key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return Error{Code::kInvalidArgument,
                 concat("TLS key ", in_quotes(key_file),
                        ": want the certificate's PEM private key, found: ", openssl_error())};
  if (SSL_CTX_check_private_key(context.get()) != 1)
    return Error{Code::kInvalidArgument,
                 concat("TLS key ", in_quotes(key_file), ": does not belong to certificate ",
                        in_quotes(certificate_file))};
  return std::unique_ptr<TlsContext>(std::make_unique<OpenSslContext>(std::move(context)));
}

}  // namespace sis::net
