// Undoes compress() on a whole body at once: for tests.
#pragma once

#include <string>
#include <string_view>

#include "net/compression.h"

namespace sis::net::testing {

inline Result<std::string> decompress(Coding coding, std::string_view in, size_t out_bytes_max) {
  auto decoder = Decompressor::create(coding, out_bytes_max);
  std::string out;
  SIS_TRY(decoder->feed(in, out));
  SIS_TRY(decoder->finish());
  return out;
}

}  // namespace sis::net::testing
