// TLS 1.2 and 1.3, server side, over memory: ciphertext in, plaintext out, and back. No sockets.
//
// OpenSSL's types stay in the .cc. A TlsContext is shared by all connections and read-only; a
// TlsSession belongs to its connection's I/O thread.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sis::net {

class TlsSession {
 public:
  enum class Read : uint8_t { kSome, kNothing, kEnded, kFailed };

  virtual ~TlsSession() = default;
  virtual void put_ciphertext(std::string_view bytes) = 0;
  // Decrypts into `space`; kNothing wants more ciphertext, kEnded is the peer's close_notify.
  virtual Read read(std::span<char> space, size_t& bytes) = 0;
  virtual bool handshaken() const = 0;
  // Encrypts; only after the handshake.
  virtual bool write(std::string_view plaintext) = 0;
  virtual void close() = 0;  // queues our close_notify
  // Appends what must go to the peer.
  virtual void take_ciphertext(std::string& out) = 0;
};

class TlsContext {
 public:
  // PEM files. Errors name the file and what is wrong with it.
  static Result<std::unique_ptr<TlsContext>> create(const std::string& certificate_file,
                                                    const std::string& key_file);
  virtual ~TlsContext() = default;
  virtual std::unique_ptr<TlsSession> session() = 0;
};

}  // namespace sis::net
