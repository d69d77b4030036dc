#include "net/compression.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/strings.h"

namespace sis::net {
namespace {

constexpr size_t kStepBytes = 64 << 10;
constexpr int kZstdWindowLogMax = 23;  // 8 MiB, what RFC 9659 allows for this coding
constexpr int kZstdLevel = 3, kBrotliQuality = 4, kZlibLevel = 5;

// Common bookkeeping: the bound on the sum of output, and what the window grows to.
class BoundedDecompressor : public Decompressor {
 public:
  struct State {
    size_t bytes = 0, window_bytes_max = 0;
  };

  BoundedDecompressor(Coding coding, State state, size_t out_bytes_max)
      : coding_(coding), state_(state), out_bytes_max_(out_bytes_max) {}
  // A window is memory only as far as output has been written to it.
  size_t state_bytes() const override {
    return state_.bytes + std::min(produced_, state_.window_bytes_max);
  }

 protected:
  // Where to decode the next step to; commit() says how much of it was used.
  char* open_step() {
    step_ = std::min(kStepBytes, out_bytes_max_ - produced_ + 1);  // one more shows the excess
    return scratch();
  }
  size_t step_bytes() const { return step_; }
  Status commit(std::string& out, size_t used) {
    out.append(scratch(), used);
    produced_ += used;
    if (produced_ <= out_bytes_max_) return {};
    return Error{Code::kTooLarge, concat("body: more than ", out_bytes_max_,
                                         " bytes once decoded from ", coding_name(coding_))};
  }
  Error broken(std::string_view why) const {
    return Error{Code::kInvalidArgument,
                 concat("body: not valid ", coding_name(coding_), " data: ", why)};
  }
  Error cut_short() const { return broken("it ends early"); }

 private:
  // One for each thread: input may come byte by byte, and a step of its own for each would have to
  // be made and cleared.
  static char* scratch() {
    thread_local std::array<char, kStepBytes> bytes;
    return bytes.data();
  }

  Coding coding_;
  State state_;
  size_t out_bytes_max_, produced_ = 0, step_ = 0;
};

constexpr BoundedDecompressor::State kZlibState{48 << 10, 0};
constexpr BoundedDecompressor::State kZstdState{224 << 10, size_t{1} << kZstdWindowLogMax};
constexpr BoundedDecompressor::State kBrotliState{32 << 10, 16 << 20};

class IdentityDecompressor final : public BoundedDecompressor {
 public:
  explicit IdentityDecompressor(size_t out_bytes_max)
      : BoundedDecompressor(Coding::kIdentity, {}, out_bytes_max) {}
  Status feed(std::string_view in, std::string& out) override {
    while (!in.empty()) {
      char* to = open_step();
      const size_t used = std::min(step_bytes(), in.size());
      std::copy_n(in.data(), used, to);
      SIS_TRY(commit(out, used));
      in.remove_prefix(used);
    }
    return {};
  }
  Status finish() override { return {}; }
};

class ZlibDecompressor final : public BoundedDecompressor {
 public:
  ZlibDecompressor(Coding coding, size_t out_bytes_max)
      : BoundedDecompressor(coding, kZlibState, out_bytes_max), gzip_(coding == Coding::kGzip) {}
  ~ZlibDecompressor() override {
    if (open_) inflateEnd(&stream_);
  }

  Status feed(std::string_view in, std::string& out) override {
    if (in.empty()) return {};
    if (!open_) {
      // A zlib header is two bytes with method 8 and a checksum; anything else is bare deflate.
      const size_t taken = std::min(in.size(), 2 - head_.size());
      head_.append(in.substr(0, taken));
      in.remove_prefix(taken);
      if (head_.size() < 2) return {};
      const auto first = static_cast<unsigned char>(head_[0]);
      const auto second = static_cast<unsigned char>(head_[1]);
      const bool zlib = (first & 0x0F) == 8 && (first << 8 | second) % 31 == 0;
      if (inflateInit2(&stream_, gzip_ ? 15 + 16 : zlib ? 15 : -15) != Z_OK)
        return Error{Code::kInternal, "zlib: cannot start inflate"};
      open_ = true;
      SIS_TRY(run(head_, out));
    }
    return run(in, out);
  }
  Status finish() override {
    if (!open_ || !ended_) return cut_short();
    return {};
  }

 private:
  Status run(std::string_view in, std::string& out) {
    while (!in.empty()) {
      if (ended_) {
        // Gzip files may be several members in a row (RFC 1952 2.2); a zlib stream is alone.
        if (!gzip_) return broken("bytes after its end");
        if (inflateReset(&stream_) != Z_OK) return broken("bytes after its end");
        ended_ = false;
      }
      const size_t offered = std::min<size_t>(in.size(), 1u << 30);
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
      stream_.avail_in = static_cast<uInt>(offered);
      for (;;) {
        stream_.next_out = reinterpret_cast<Bytef*>(open_step());
        stream_.avail_out = static_cast<uInt>(step_bytes());
        const int rc = inflate(&stream_, Z_NO_FLUSH);
        SIS_TRY(commit(out, step_bytes() - stream_.avail_out));
        if (rc == Z_STREAM_END) {
          ended_ = true;
          break;
        }
        if (rc != Z_OK && rc != Z_BUF_ERROR) return broken(stream_.msg ? stream_.msg : "bad data");
        if (stream_.avail_out != 0) break;  // all input used
      }
      in.remove_prefix(offered - stream_.avail_in);
    }
    return {};
  }

  z_stream stream_{};
  std::string head_;
  bool gzip_, open_ = false, ended_ = false;
};

class ZstdDecompressor final : public BoundedDecompressor {
 public:
  explicit ZstdDecompressor(size_t out_bytes_max)
      : BoundedDecompressor(Coding::kZstd, kZstdState, out_bytes_max), context_(ZSTD_createDCtx()) {
    if (context_) ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kZstdWindowLogMax);
  }
  ~ZstdDecompressor() override { ZSTD_freeDCtx(context_); }

  Status feed(std::string_view in, std::string& out) override {
    if (!context_) return Error{Code::kInternal, "zstd: cannot start decompression"};
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    for (bool full = false; from.pos < from.size || full;) {
      ZSTD_outBuffer to{open_step(), 0, 0};
      to.size = step_bytes();
      const size_t rc = ZSTD_decompressStream(context_, &to, &from);
      SIS_TRY(commit(out, ZSTD_isError(rc) ? 0 : to.pos));
      if (ZSTD_isError(rc)) return broken(ZSTD_getErrorName(rc));
      ended_ = rc == 0;  // a frame ended; another may follow
      full = rc != 0 && to.pos == to.size;
    }
    return {};
  }
  Status finish() override {
    if (!ended_) return cut_short();
    return {};
  }

 private:
  ZSTD_DCtx* context_;
  bool ended_ = false;
};

class BrotliDecompressor final : public BoundedDecompressor {
 public:
  explicit BrotliDecompressor(size_t out_bytes_max)
      : BoundedDecompressor(Coding::kBrotli, kBrotliState, out_bytes_max),
        state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) {}
  ~BrotliDecompressor() override {
    if (state_) BrotliDecoderDestroyInstance(state_);
  }

  Status feed(std::string_view in, std::string& out) override {
    if (!state_) return Error{Code::kInternal, "brotli: cannot start decompression"};
    const auto* next_in = reinterpret_cast<const uint8_t*>(in.data());
    size_t in_bytes = in.size();
    for (;;) {
      if (ended_) {
        if (in_bytes > 0) return broken("bytes after its end");
        return {};
      }
      auto* next_out = reinterpret_cast<uint8_t*>(open_step());
      size_t room = step_bytes();
      const auto rc =
          BrotliDecoderDecompressStream(state_, &in_bytes, &next_in, &room, &next_out, nullptr);
      SIS_TRY(commit(out, step_bytes() - room));
      if (rc == BROTLI_DECODER_RESULT_ERROR)
        return broken(BrotliDecoderErrorString(BrotliDecoderGetErrorCode(state_)));
      if (rc == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT) return {};
      ended_ = rc == BROTLI_DECODER_RESULT_SUCCESS;
    }
  }
  Status finish() override {
    if (!ended_) return cut_short();
    return {};
  }

 private:
  BrotliDecoderState* state_;
  bool ended_ = false;
};

Result<std::string> compress_zlib(Coding coding, std::string_view in) {
  z_stream stream{};
  const int window_bits = coding == Coding::kGzip ? 15 + 16 : 15;
  if (deflateInit2(&stream, kZlibLevel, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return Error{Code::kInternal, "zlib: cannot start deflate"};
  std::string out(deflateBound(&stream, in.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int rc = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (rc != Z_STREAM_END) return Error{Code::kInternal, concat("zlib: deflate returned ", rc)};
  return out;
}

}  // namespace

std::unique_ptr<Decompressor> Decompressor::create(Coding coding, size_t out_bytes_max) {
  out_bytes_max = std::min(out_bytes_max, std::numeric_limits<size_t>::max() / 2);
  switch (coding) {
    case Coding::kIdentity:
      return std::make_unique<IdentityDecompressor>(out_bytes_max);
    case Coding::kGzip:
    case Coding::kDeflate:
      return std::make_unique<ZlibDecompressor>(coding, out_bytes_max);
    case Coding::kZstd:
      return std::make_unique<ZstdDecompressor>(out_bytes_max);
    case Coding::kBrotli:
      return std::make_unique<BrotliDecompressor>(out_bytes_max);
  }
  return nullptr;
}

Result<std::string> compress(Coding coding, std::string_view in) {
  if (in.size() > std::numeric_limits<uInt>::max() / 2)
    return Error{Code::kTooLarge, concat("compress: ", in.size(), " bytes, want below 2 GiB")};
  switch (coding) {
    case Coding::kIdentity:
      return std::string(in);
    case Coding::kGzip:
    case Coding::kDeflate:
      return compress_zlib(coding, in);
    case Coding::kZstd: {
      std::string out(ZSTD_compressBound(in.size()), '\0');
      const size_t rc = ZSTD_compress(out.data(), out.size(), in.data(), in.size(), kZstdLevel);
      if (ZSTD_isError(rc)) return Error{Code::kInternal, concat("zstd: ", ZSTD_getErrorName(rc))};
      out.resize(rc);
      return out;
    }
    case Coding::kBrotli: {
      size_t out_bytes = BrotliEncoderMaxCompressedSize(in.size());
      std::string out(out_bytes, '\0');
      if (!BrotliEncoderCompress(kBrotliQuality, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_TEXT, in.size(),
                                 reinterpret_cast<const uint8_t*>(in.data()), &out_bytes,
                                 reinterpret_cast<uint8_t*>(out.data())))
        return Error{Code::kInternal, "brotli: cannot compress"};
      out.resize(out_bytes);
      return out;
    }
  }
  return Error{Code::kInternal, "compress: unknown coding"};
}

bool is_compressible_type(std::string_view content_type) {
  const std::string essence = to_lower(trim(content_type.substr(0, content_type.find(';'))));
  const auto ends_with = [&](std::string_view tail) { return essence.ends_with(tail); };
  return essence.starts_with("text/") || ends_with("/json") || ends_with("+json") ||
         ends_with("/xml") || ends_with("+xml") || ends_with("/javascript") ||
         ends_with("/x-ndjson") || ends_with("/yaml");
}

}  // namespace sis::net
