// Content codings on whole bodies and piece by piece: gzip, deflate, zstd, brotli.
//
// Decoding never trusts the sender: output is bounded while it is produced (a "bomb" stops at the
// limit, with at most one 64 KiB step decoded beyond it), zstd windows above 8 MiB (RFC 9659) are
// refused, and a body must end exactly where its coding ends. "deflate" takes zlib (RFC 1950) and
// bare (RFC 1951) streams.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_text.h"

namespace sis::net {

class Decompressor {
 public:
  // `out_bytes_max` bounds the sum of all output. kIdentity copies.
  static std::unique_ptr<Decompressor> create(Coding coding, size_t out_bytes_max);
  virtual ~Decompressor() = default;

  // Decodes all of `in` and appends to `out`. kTooLarge past the bound, kInvalidArgument when
  // broken.
  virtual Status feed(std::string_view in, std::string& out) = 0;
  // After the last feed: an error when the coded stream is not complete.
  virtual Status finish() = 0;
  // About what its own state takes by now, beside `out`.
  virtual size_t state_bytes() const = 0;
};

// Levels are for live answers: zstd 3, brotli 4, zlib 5.
Result<std::string> compress(Coding coding, std::string_view in);

// Whether compressing pays for such content: text, JSON, XML, JavaScript; not images or audio.
bool is_compressible_type(std::string_view content_type);

}  // namespace sis::net
