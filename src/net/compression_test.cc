#include "net/compression.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <string>

#include "base/rng.h"
#include "net/decompress_whole.h"

namespace sis::net {
namespace {

using testing::decompress;

constexpr Coding kCodings[] = {Coding::kGzip, Coding::kDeflate, Coding::kZstd, Coding::kBrotli};

std::string some_text(size_t bytes) {
  Rng rng{7};
  std::string text;
  while (text.size() < bytes) {
    text += "line " + std::to_string(rng.below(1000)) + "\n";
    text.push_back(static_cast<char>(rng.below(256)));
  }
  text.resize(bytes);
  return text;
}

// What is compressed comes back, however the pieces are cut.
TEST(Compression, RoundTripsInPieces) {
  for (const size_t bytes : {0, 1, 1000, 65536, 1'000'000}) {
    const std::string text = some_text(bytes);
    for (const Coding coding : kCodings) {
      const auto packed = compress(coding, text);
      ASSERT_TRUE(packed);
      for (const size_t piece : {size_t{1}, size_t{7}, size_t{4096}, packed->size() + 1}) {
        if (piece == 1 && bytes > 100'000) continue;
        auto decoder = Decompressor::create(coding, text.size());
        std::string out;
        for (size_t at = 0; at < packed->size(); at += piece)
          ASSERT_TRUE(decoder->feed(std::string_view(*packed).substr(at, piece), out));
        ASSERT_TRUE(decoder->finish()) << coding_name(coding) << " " << bytes;
        EXPECT_EQ(out, text) << coding_name(coding) << " " << bytes << " by " << piece;
      }
    }
  }
}

// A byte of input costs a byte's worth of output, not a whole step of it.
TEST(Compression, SmallPiecesBookLittle) {
  const std::string text = some_text(500);
  for (const Coding coding : kCodings) {
    const std::string packed = compress(coding, text).value();
    auto decoder = Decompressor::create(coding, 1 << 20);
    std::string out;
    for (const char c : packed) {
      ASSERT_TRUE(decoder->feed({&c, 1}, out));
      ASSERT_LE(out.capacity(), 2 * text.size()) << coding_name(coding);
    }
    EXPECT_EQ(out, text);
  }
}

// A bomb stops at the bound: little more than the bound is ever held.
TEST(Compression, StopsBombsAtTheBound) {
  const std::string zeros(64 << 20, '\0');
  for (const Coding coding : kCodings) {
    const auto packed = compress(coding, zeros);
    ASSERT_TRUE(packed);
    auto decoder = Decompressor::create(coding, 100'000);
    std::string out;
    const auto status = decoder->feed(*packed, out);
    ASSERT_FALSE(status) << coding_name(coding);
    EXPECT_EQ(status.error().code, Code::kTooLarge);
    EXPECT_LE(out.capacity(), 400'000u);
    EXPECT_EQ(decompress(coding, *packed, zeros.size()).value().size(), zeros.size());
    EXPECT_FALSE(decompress(coding, *packed, zeros.size() - 1));
  }
}

TEST(Compression, RefusesBrokenAndUnfinishedData) {
  const std::string text = some_text(5000);
  for (const Coding coding : kCodings) {
    const auto packed = compress(coding, text);
    ASSERT_TRUE(packed);
    for (const size_t keep : {size_t{1}, packed->size() / 2, packed->size() - 1}) {
      const auto cut = decompress(coding, packed->substr(0, keep), 1 << 20);
      ASSERT_FALSE(cut) << coding_name(coding) << " " << keep;
      EXPECT_EQ(cut.error().code, Code::kInvalidArgument);
    }
    EXPECT_FALSE(decompress(coding, "", 1 << 20)) << coding_name(coding);
    EXPECT_FALSE(decompress(coding, *packed + "garbage", 1 << 20)) << coding_name(coding);
    EXPECT_FALSE(decompress(coding, "this is no compressed data at all", 1 << 20));
  }
}

// Any flipped bit ends in an error or in some output below the bound, never worse.
TEST(Compression, SurvivesFlippedBits) {
  Rng rng{11};
  const std::string text = some_text(3000);
  for (const Coding coding : kCodings) {
    const auto packed = compress(coding, text);
    for (int round = 0; round < 300; ++round) {
      std::string broken = *packed;
      broken[rng.below(broken.size())] ^= static_cast<char>(1 << rng.below(8));
      const auto out = decompress(coding, broken, 10'000);
      EXPECT_LE(out ? out->size() : 0, 10'000u);
    }
  }
}

TEST(Compression, TakesBareDeflateAndSeveralMembers) {
  const std::string text = some_text(2000);
  z_stream stream{};
  ASSERT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string bare(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(bare.data());
  stream.avail_out = static_cast<uInt>(bare.size());
  ASSERT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  bare.resize(stream.total_out);
  deflateEnd(&stream);
  EXPECT_EQ(decompress(Coding::kDeflate, bare, 1 << 20).value(), text);
  for (const Coding coding : {Coding::kGzip, Coding::kZstd}) {
    const std::string one = compress(coding, text).value();
    EXPECT_EQ(decompress(coding, one + one, 1 << 20).value(), text + text);
  }
}

// A frame that asks for a window above 8 MiB would book that much memory per request.
TEST(Compression, RefusesHugeZstdWindows) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 25);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  const std::string text = some_text(100'000);
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  ZSTD_inBuffer in{text.data(), text.size(), 0};
  ZSTD_outBuffer out{packed.data(), packed.size(), 0};
  ASSERT_EQ(ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush), 0u);
  ASSERT_EQ(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0u);
  ZSTD_freeCCtx(context);
  packed.resize(out.pos);
  const auto result = decompress(Coding::kZstd, packed, 1 << 20);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kInvalidArgument);
}

TEST(Compression, KnowsWhatIsWorthCompressing) {
  EXPECT_TRUE(is_compressible_type("application/json"));
  EXPECT_TRUE(is_compressible_type("Text/HTML; charset=utf-8"));
  EXPECT_TRUE(is_compressible_type("image/svg+xml"));
  EXPECT_FALSE(is_compressible_type("image/png"));
  EXPECT_FALSE(is_compressible_type("application/octet-stream"));
}

}  // namespace
}  // namespace sis::net
